"""Trainings that take no time and learn nothing: random policies and curves that fall.

For tests of what is around trainings. Nothing here is a result.
"""

from random_policies import mllm_policy

from sec_nodes.learning import job as files

SLOTS_A_ROW = 10


def train(job, go_on):
    """Write what a training leaves behind; answers False, and leaves nothing, if told to stop."""
    if not go_on(None):
        return False
    job.folder.mkdir(parents=True, exist_ok=True)
    mllm_policy(
        job.folder / files.POLICY, job.scenario, dict(job.scenario_settings), seed=job.seed
    )
    rows = [
        {'steps': SLOTS_A_ROW * n, 'cost': 100.0 / n + job.seed, 'latency_s': 2.0, 'energy_j': 5.0}
        for n in range(1, 1 + job.steps // SLOTS_A_ROW)
    ]
    files.write_curve(job.folder / files.CURVE, rows)
    files.write_summary(job.folder / files.SUMMARY, {'steps': job.steps, 'updates': 7, 'cpu_s': 3})
    return True


def failing(job, go_on):
    raise ValueError('this one cannot be trained')
