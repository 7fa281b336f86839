"""How far a server has got with a task when it fails."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='needs ROS 2')

from sec_nodes.nodes.handover import first_unfinished
from sec_nodes.nodes.serving import Lane, Served
from sec_nodes.slot import ModelTable, ServerKind
from sec_nodes.world import Server
from sec_offload import msg

# layers of 4, 0, 6, 10 and 20 FLOP, and in the second network 5 and 5; the rest is padding
FRONT_FLOP = np.array([[0.0, 4.0, 4.0, 10.0, 20.0, 40.0], [0.0, 5.0, 10.0, 0.0, 0.0, 0.0]])


@pytest.fixture
def models() -> ModelTable:
    return ModelTable(
        model_id=('deep', 'flat'),
        accuracy=np.ones(2),
        n_cuts=np.array([6, 3]),
        front_flop=FRONT_FLOP,
        start_flop=np.zeros_like(FRONT_FLOP),
        back_flop=FRONT_FLOP.max(axis=1, keepdims=True) - FRONT_FLOP,
        cut_bit=np.ones_like(FRONT_FLOP),
    )


@pytest.mark.parametrize(
    ('model', 'cut', 'done_flop', 'held'),
    [
        (0, 0, 0.0, 0),
        (0, 0, 3.9, 0),
        (0, 0, 4.0, 2),  # the layer without work is done as well
        (0, 0, 9.99, 2),
        (0, 0, 10.0, 3),
        (0, 0, 39.0, 4),
        (0, 0, 40.0, 4),  # the last layer is never finished
        (0, 1, 0.0, 1),
        (0, 2, 5.9, 2),
        (0, 2, 16.0, 4),
        (0, 4, 12.0, 4),
        (0, 5, 1.0, 5),
        (1, 0, 5.0, 1),
        (1, 0, 10.0, 1),
        (1, 1, 4.0, 1),
    ],
)
def test_layers_that_are_finished_need_not_be_run_again(
    models: ModelTable, model: int, cut: int, done_flop: float, held: int
) -> None:
    assert first_unfinished(models, model, cut, done_flop) == held


@pytest.mark.parametrize(
    ('now_s', 'share'), [(9.0, 0.0), (10.0, 0.0), (10.5, 0.25), (12.0, 1.0), (13.0, 1.0)]
)
def test_work_is_done_evenly_from_its_start_to_its_end(now_s: float, share: float) -> None:
    server = Server(ServerKind.UAV, '', 1e9, 5.0, 0.5)
    payload = msg.Payload(timing=msg.TaskTiming(back_s=2.0))
    served = Served(
        Lane(0, 'uav_0', server), 0, payload, start_s=10.0, first_s=10.0, step_s=2.0, flop=8.0
    )
    assert served.share_done(now_s) == share


def test_work_that_takes_no_time_is_done_once_it_has_begun() -> None:
    lane = Lane(0, 'uav_0', Server(ServerKind.UAV, '', 1e9, 5.0, 0.5))
    served = Served(lane, 0, msg.Payload(), start_s=1.0, first_s=1.0, step_s=0.0, flop=0.0)
    assert [served.share_done(now_s) for now_s in (0.5, 1.0, 1.5)] == [0.0, 0.0, 1.0]
