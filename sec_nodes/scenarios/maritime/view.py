"""A slot as the nodes have it, in the words of maritime's controllers, and back."""

from __future__ import annotations

import numpy as np

from sec_nodes.scenarios.maritime.devices import Devices
from sec_nodes.scenarios.maritime.scenario import Maritime
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeState
from sec_nodes.slot import RelayPlan, SlotState


def maritime_state(scenario: Maritime, state: SlotState, seed: int = 0) -> MaritimeState:
    """One copy of the scenario from what a slot's relays have to pass on.

    Sums over a UAV's devices are there, single devices are not.

    Args:
        scenario: the system.
        state: the slot.
        seed: of controllers that draw random numbers.

    Raises:
        ValueError: the slot has no relays, or not those of the scenario.
    """
    relays = state.relays
    m = scenario.settings.uavs.count
    if relays is None or len(relays.alive) != m:
        found = 'none' if relays is None else len(relays.alive)
        raise ValueError(f'slot {state.slot} has {found} relays, but the scenario has {m}')
    return MaritimeState(
        seed=np.array([seed]),
        slot=np.array([state.slot]),
        stored_bit=relays.stored_bit[None],
        uav_m=state.servers.position_m[None, :m, :2],
        devices=_nobody(m),
        upload_s=relays.upload_s[None],
        batch_bit=relays.batch_bit[None],
        collect_rate_bit_s=relays.collect_rate_bit_s[None],
        leo_gain=relays.satellite_gain[None],
    )


def relay_plan(decision: MaritimeDecision) -> RelayPlan:
    """What the first copy decides, as the nodes have it."""
    return RelayPlan(
        ratio=decision.ratio[0],
        power_w=decision.power_w[0],
        cpu_hz=decision.cpu_hz[0],
        start_s=decision.start_s[0],
    )


def _nobody(m: int) -> Devices:
    none = np.zeros((1, m, 0))
    return Devices(
        position_m=np.zeros((1, m, 0, 2)),
        active=none.astype(bool),
        sensitive=np.zeros(0, dtype=bool),
        gain=none,
        size_bit=none,
        rate_bit_s=none,
    )
