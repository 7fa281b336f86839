"""What failures did to tasks: numbers, pages and figures."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from typing import Any

import pytest
from report_rows import Writer, outcome, tasks
from rich.console import Console
from synthetic_failures import row, write_failures

from sec_nodes.report import build, summarise, summary_table
from sec_nodes.report.failures import moved_of, outages_of
from sec_nodes.report.figures import FAILURES, overview, plots_of, single
from sec_nodes.report.load import Run, load_run


def event(time_s: float, what: str, uav: int, **values: Any) -> dict[str, Any]:
    instants = dict.fromkeys(('injected_s', 'noticed_s', 'back_s'), math.nan)
    instants[f'{what}_s'] = time_s
    return row('failures', server_id=uav, name=f'uav_{uav}', **instants, **values)


def move(task_id: int, way: str, source: int, target: int, **values: Any) -> dict[str, Any]:
    plain = row(
        'migrations', task_id=task_id, way=way, from_server=source, from_name=f'uav_{source}',
        to_server=target, to_name='local' if target < 0 else f'uav_{target}', attempt=1,
        size_bit=1e6, expected_s=0.04,
    )  # fmt: skip
    return plain | values


@pytest.fixture
def run(write_tables: Writer) -> Run:
    """UAV 1 is killed at 2.0 s and back; UAV 0 fails by itself; UAV 2 is cut off unnoticed.

    Tasks 1, 2, 3 were at UAV 1: relayed, sent again and moved twice, failed. Task 4 was at UAV 0
    and goes on at its device. Task 5 is not hit.
    """
    folder = write_tables(
        tasks=tasks(1, 2, 3, 4, 5),
        failures=[
            event(2.0, 'injected', 1, kind='kill'),
            event(2.3, 'noticed', 1, reason='silent', silence_s=0.26, tasks=2),
            event(2.6, 'noticed', 0, reason='battery empty', tasks=1),
            event(2.9, 'noticed', 0, reason='silent', tasks=0),
            event(4.0, 'injected', 2, kind='cut'),
            event(4.1, 'injected', 2, kind='recover'),
            event(5.0, 'back', 1),
        ],
        migrations=[
            move(1, 'relay', 1, 2, decided_s=2.31),
            move(2, 'resend', 1, 0, decided_s=2.32),
            move(2, 'resend', 0, 2, decided_s=2.61, attempt=2),
            move(4, 'local', 0, -1, decided_s=2.62),
        ],
        outcomes=[
            outcome(1, attempts=2, timing_upload_s=0.05, latency_s=0.4, ended_s=2.5),
            outcome(
                2, attempts=3, timing_upload_s=0.2, latency_s=0.8, status='late', observed_s=0.8,
            ),
            outcome(
                3, status='failed', reason='server_lost: uav_1; then no room', ended_s=2.4,
                server_name='uav_1', latency_s=0.0,
            ),
            outcome(
                4, attempts=2, timing_upload_s=0.3, latency_s=0.45, server_name='local',
                observed_s=0.6,
            ),
            outcome(5, latency_s=0.2),
        ],
    )  # fmt: skip
    return load_run(folder)


def test_notices_and_returns_belong_to_their_failure(run: Run) -> None:
    killed, by_itself, cut = outages_of(run, moved_of(run))
    assert (killed.name, killed.kind, killed.back_s) == ('uav_1', 'kill', 5.0)
    assert killed.detection_s == pytest.approx(0.3)
    assert (killed.reason, killed.under_way) == ('silent', 2)
    assert killed.tasks == {1, 2, 3}
    # a second notice about the same failure is none of its own
    assert (by_itself.kind, by_itself.noticed_s, by_itself.start_s) == ('not injected', 2.6, 2.6)
    assert (by_itself.reason, by_itself.tasks) == ('battery empty', {2, 4})
    assert math.isnan(by_itself.back_s)
    assert (cut.injected_s, cut.back_s) == (4.0, 4.1)
    assert math.isnan(cut.noticed_s)


def test_the_figure_tells_how_soon_failures_were_noticed_and_how_long_tensors_moved(
    run: Run,
) -> None:
    legend = single(FAILURES[0], run)[0].axes[0].get_legend()
    assert legend is not None
    labels = {text.get_text() for text in legend.get_texts()}
    # one of two injected failures was noticed, 0.3 s later; task 2 ended after 0.2 s of travel
    assert {'noticed (300 ms)', 'relay (50 ms)', 'sent again (200 ms)', 'device itself'} <= labels


def test_a_server_fails_anew_after_it_was_back(write_tables: Writer) -> None:
    folder = write_tables(
        failures=[
            event(1.0, 'injected', 0, kind='hang'),
            event(1.3, 'noticed', 0),
            event(3.0, 'back', 0),
            event(6.0, 'noticed', 0, reason='started again'),
            event(6.1, 'back', 0),
            event(8.0, 'injected', 0, kind='cut'),
            event(9.0, 'injected', 0, kind='kill'),
        ]
    )
    outages = outages_of(load_run(folder), [])
    assert [(o.kind, o.start_s) for o in outages] == [
        ('hang', 1.0), ('not injected', 6.0), ('cut', 8.0), ('kill', 9.0),
    ]  # fmt: skip
    assert [o.back_s for o in outages[:2]] == [3.0, 6.1]
    assert [o.end_s for o in outages[:3]] == [3.0, 6.1, 9.0]
    assert math.isnan(outages[2].back_s)


def test_a_move_tells_the_real_time_of_the_last_try_only(run: Run) -> None:
    relay, first, second, local = moved_of(run)
    assert (relay.moving_s, relay.is_last, relay.status) == (0.05, True, 'done')
    assert math.isnan(first.moving_s)
    assert not first.is_last
    assert (second.moving_s, second.is_last, second.status) == (0.2, True, 'late')
    assert math.isnan(local.moving_s), 'nothing travelled'
    assert local.target == 'local'


def test_tasks_that_were_hit_beside_the_others(run: Run) -> None:
    found = summarise(run.folder)['failures']
    assert (found['outages'], found['injected'], found['noticed']) == (3, 2, 2)
    assert found['detection_s']['count'] == 1
    assert found['moved'] == {'relay': 1, 'resend': 2, 'local': 1}
    assert found['moving_s']['mean'] == pytest.approx((0.05 + 0.2) / 2)
    hit, others = found['tasks']['hit'], found['tasks']['not_hit']
    assert (hit['count'], hit['done'], hit['late'], hit['failed']) == (4, 2, 1, 1)
    assert hit['completion'] == 0.5
    # task 4 was in time by the models, and 0.1 s late for its device
    assert hit['observed_in_time'] == 1
    assert hit['latency_s']['mean'] == pytest.approx((0.4 + 0.8 + 0.45) / 3)
    assert (others['count'], others['completion']) == (1, 1.0)
    kill = found['by_kind']['kill']
    assert (kill['count'], kill['noticed'], kill['back'], kill['tasks']['count']) == (1, 1, 1, 3)
    assert kill['moved'] == {'relay': 1, 'resend': 1, 'local': 0}


def test_runs_without_failures_say_nothing_of_them(write_tables: Writer) -> None:
    folder = write_tables(tasks=tasks(1), outcomes=[outcome(1)])
    assert summarise(folder)['failures'] is None
    for name in ('failures', 'migrations'):  # recorded before there were such tables
        (folder / f'{name}.csv').unlink()
    assert 'missing' not in ' '.join(summarise(folder)['notes']).replace('run.json is missing', '')
    assert '<h2>Failures' not in build(folder).read_text()


def test_a_page_shows_failures_and_moves(tmp_path: Path) -> None:
    folder = write_failures(tmp_path / 'run')
    page = build(folder).read_text()
    titles = re.findall(r'<h2>([^<]+)</h2>', page)
    assert titles[:4] == [
        'Failures', 'Failures over time', 'Tasks that failures hit', 'Tasks that moved',
    ]  # fmt: skip
    assert 'Satellite passes' not in titles
    for kind in ('kill', 'battery', 'link loss', 'cut', 'hang'):
        assert f'<td>{kind}</td>' in page
    moved = page.partition('<h2>Tasks that moved</h2>')[2].partition('</table>')[0]
    assert moved.count('<tr>') == 1 + 13
    assert '<td>uav 2</td><td>uav 0</td><td>relay</td>' in moved


def test_the_terminal_has_a_line_on_failures(tmp_path: Path) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(summary_table(write_failures(tmp_path / 'run')))
    text = ' '.join(console.export_text().replace('│', ' ').split())
    assert 'failures 5, 4 noticed, after 300 ms (p50); 13 tasks hit: 3 relay, 9 sent again' in text


def test_figures_of_failures(tmp_path: Path, write_tables: Writer) -> None:
    run = load_run(write_failures(tmp_path / 'synthetic'))
    figure, caption = single(FAILURES[0], run)
    lanes, bars = figure.axes[0].child_axes
    assert [label.get_text() for label in lanes.get_yticklabels()] == [
        'uav 0', 'uav 1', 'uav 2', 'devices',
    ]  # fmt: skip
    assert {text.get_text() for text in lanes.texts} == {
        'kill', 'battery', 'link loss', 'cut', 'hang',
    }  # fmt: skip
    assert sum(bar.get_height() for bar in bars.patches) == len(run['outcomes'])
    assert 'Below' in caption
    assert len(overview(run).axes) >= 7
    assert not {'Satellite passes'} & {plot.title for plot in plots_of(run)}
    bare = load_run(write_tables(tasks=tasks(1), outcomes=[outcome(1)]))
    assert single(FAILURES[0], bare)[1] == 'No server failed in this run.'
