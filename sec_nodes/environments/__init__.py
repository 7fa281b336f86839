"""Gymnasium environments of the scenarios; importing this package registers them.

`sec_offload/Mllm-v0` and `sec_offload/Robust-v0`: `gymnasium.make` gives one copy,
`gymnasium.make_vec` many in one process.
"""

import gymnasium

gymnasium.register(
    'sec_offload/Mllm-v0',
    entry_point='sec_nodes.environments.mllm:MllmEnv',
    vector_entry_point='sec_nodes.environments.mllm:MllmVectorEnv',
)
gymnasium.register(
    'sec_offload/Robust-v0',
    entry_point='sec_nodes.environments.robust:RobustEnv',
    vector_entry_point='sec_nodes.environments.robust:RobustVectorEnv',
)
