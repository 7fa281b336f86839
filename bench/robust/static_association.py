"""A controller that never reacts to failures, to measure against: its first slot counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sec_nodes.controllers.base import Controller, create
from sec_nodes.slot import DECLINED, SlotDecision, SlotState


class StaticAssociation(Controller):
    """Users keep the UAV and the cut of the first slot; those whose UAV has failed get nothing."""

    name = 'static_association'
    plays = 'robust'

    def __init__(self, scenario: object, seed: int = 0) -> None:
        super().__init__(scenario, seed)  # type: ignore[arg-type]
        self._optimum = create('optimum', scenario, seed)
        self._kept: dict[int, tuple[int, int]] = {}

    def decide(self, state: SlotState) -> SlotDecision:
        """The decision of the first slot on each device."""
        decision = self._optimum.decide(state)
        device = state.devices.device_id[state.tasks.device].tolist()
        if not self._kept:
            servers, splits = decision.server.tolist(), decision.split.tolist()
            self._kept = dict(zip(device, zip(servers, splits, strict=True), strict=True))
        kept = np.array([self._kept.get(one, (DECLINED, 0)) for one in device])
        server, split = kept[:, 0], kept[:, 1]
        lives = (server < 0) | state.servers.alive[np.maximum(server, 0)]
        return replace(decision, server=np.where(lives, server, DECLINED), split=split)
