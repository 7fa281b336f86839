"""What UAVs pass on to a satellite: messages to the project's own types and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sec_nodes.nodes.base import BadMessageError
from sec_nodes.slot import RelayPlan, RelayTable
from sec_offload import msg

_PLAN = tuple(RelayPlan.__dataclass_fields__)
_NUMBERS = tuple(
    name for name in RelayTable.__dataclass_fields__ if name not in ('alive', 'satellite')
)


def relay_messages(relays: RelayTable) -> list[msg.RelayState]:
    """What each UAV has to pass on, as messages."""
    return [
        msg.RelayState(
            server_id=uav,
            alive=bool(relays.alive[uav]),
            satellite=int(relays.satellite[uav]),
            **{name: float(getattr(relays, name)[uav]) for name in _NUMBERS},
        )
        for uav in range(len(relays.alive))
    ]


def relays_from(messages: Sequence[msg.RelayState]) -> RelayTable | None:
    """What each UAV has to pass on; None without messages.

    Raises:
        BadMessageError: not one for each UAV, in their order, or a number that is none.
    """
    if not messages:
        return None
    if [one.server_id for one in messages] != list(range(len(messages))):
        raise BadMessageError('slot state: relays must be those of UAVs 0, 1, 2 ..., in order')
    numbers = {name: np.array([getattr(one, name) for one in messages]) for name in _NUMBERS}
    for name, column in numbers.items():
        if not np.all(np.isfinite(column) & (column >= 0)):
            raise BadMessageError(f'slot state: {name} of relays is {column}')
    return RelayTable(
        alive=np.array([one.alive for one in messages], dtype=bool),
        satellite=np.array([one.satellite for one in messages], dtype=np.int64),
        **numbers,
    )


def plan_messages(plan: RelayPlan | None) -> list[msg.RelayDecision]:
    """What each UAV shall pass on, as messages."""
    if plan is None:
        return []
    return [
        msg.RelayDecision(server_id=uav, **_of_uav(plan, uav)) for uav in range(len(plan.ratio))
    ]


def plan_from(
    messages: Sequence[msg.RelayDecision], relays: RelayTable | None
) -> RelayPlan | None:
    """What the relays of a slot shall pass on; None without messages.

    UAVs that the messages leave out get NaN, so that screening replaces them.
    """
    if relays is None or not messages:
        return None
    columns = {name: np.full(len(relays.alive), np.nan) for name in _PLAN}
    for message in messages:
        if message.server_id < len(relays.alive):
            for name, column in columns.items():
                column[message.server_id] = getattr(message, name)
    return RelayPlan(**columns)


def relay_order(
    plan: RelayPlan, uav: int, satellite: int, upload_rate_bit_s: float
) -> msg.RelayOrder:
    """What a UAV shall do; the streams of its devices are left to be filled in."""
    return msg.RelayOrder(
        server_id=uav,
        satellite=satellite,
        upload_rate_bit_s=upload_rate_bit_s,
        **_of_uav(plan, uav),
    )


def _of_uav(plan: RelayPlan, uav: int) -> dict[str, float]:
    return {name: float(getattr(plan, name)[uav]) for name in _PLAN}
