"""Failures that a user asks for: which server, how, from which slot on, and until when."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from sec_nodes.config import ConfigError, suggest

CRASH, LINK, RECOVER, KILL, HANG, CUT, BATTERY = (
    'crash', 'link', 'recover', 'kill', 'hang', 'cut', 'battery',
)  # fmt: skip
KINDS: Mapping[str, int] = {
    kind: number for number, kind in enumerate((CRASH, LINK, RECOVER, KILL, HANG, CUT, BATTERY))
}
"""Number of each kind in sec_offload/msg/Failure."""

ASKED_FOR = tuple(kind for kind in KINDS if kind != RECOVER)
"""Kinds that a user may name."""

OF_PROCESSES = (KILL, HANG)
"""Kinds that befall a whole process, and that only who started the process can end."""

IN_TURN = (KILL, BATTERY, CUT, HANG)
"""Kinds that a scenario goes through which sends tasks elsewhere within their slot."""

OUTAGE_SLOTS = (3, 8)
"""Least and most slots that a random failure lasts."""

AT_WORK = 0.4
"""Share of a slot after which UAVs that move tasks fail, unless a user names another: devices have
sent theirs, and UAVs are at work."""

_SETTLED_SLOTS = 3
"""Slots after the end of a random failure in which its UAV does not count as back: a process
that is started again takes a while."""

_SOME = re.compile(
    r'\s*(?P<name>\w+)\s*@\s*(?P<slot>\d+(?:\.\d+)?)\s*(?:-\s*(?P<until>\d+)\s*)?'
    r'(?::\s*(?P<kind>\w+)\s*)?'
)
_RANDOM = re.compile(r'\s*random\s*:\s*(?P<probability>\S+)\s*')


@dataclass(frozen=True)
class InjectedFailure:
    """A server that is made to fail in a slot."""

    name: str
    server_id: int
    slot: float
    """Slot and share of it: 20.5 is halfway through slot 20."""
    kind: str = CRASH
    """One of `ASKED_FOR`."""
    until: int | None = None
    """Slot in which it ends; none = never."""

    @property
    def binds_process(self) -> bool:
        """Whether it ends by what is done to a process of this machine."""
        return self.kind in OF_PROCESSES and self.until is not None


class Step(NamedTuple):
    """The begin or the end of a failure."""

    slot: float
    failure: InjectedFailure
    is_end: bool


def schedule(failures: Sequence[InjectedFailure]) -> list[Step]:
    """Begins and ends in their order; within a slot, first who comes back."""
    begins = [Step(failure.slot, failure, False) for failure in failures]
    ends = [Step(f.until, f, True) for f in failures if f.until is not None]
    return sorted(
        begins + ends, key=lambda step: (step.slot, not step.is_end, step.failure.server_id)
    )


def parse_failures(
    texts: Sequence[str], scenario: Any, slots: int, seed: int
) -> list[InjectedFailure]:
    """Failures to inject, in order of their slots.

    Args:
        texts: each `NAME@SLOT`, `NAME@SLOT-UNTIL`, either with `:KIND`, slots with decimals for
            what happens within them; how many UAVs fail, spread over the run; or
            `random:PROBABILITY`, of each UAV in each slot.
        scenario: says which servers there are.
        slots: length of the run.
        seed: of random failures, and the first UAV to fail where only their number is given.

    Raises:
        ConfigError: no such server or kind, or a slot outside the run.
    """
    failures: list[InjectedFailure] = []
    for text in texts:
        uavs = scenario.uavs.count
        kinds, share = (IN_TURN, AT_WORK) if moves_tasks(scenario) else ((CRASH,), 0.0)
        if text.strip().isdigit():
            spread = _spread(int(text), uavs, kinds, slots, seed)
            failures += [replace(failure, slot=failure.slot + share) for failure in spread]
        elif match := _RANDOM.fullmatch(text):
            probability = _probability(text, match['probability'])
            failures += random_failures(probability, uavs, kinds, slots, seed)
        else:
            failures.append(_single(text, _servers(scenario), slots))
    return sorted(failures, key=lambda failure: (failure.slot, failure.server_id))


def moves_tasks(scenario: Any) -> bool:
    """Whether tasks of failed UAVs go on elsewhere within their slot."""
    return getattr(scenario, 'detection', None) is not None


def random_failures(
    probability: float, uavs: int, kinds: Sequence[str], slots: int, seed: int
) -> list[InjectedFailure]:
    """Failures that strike each living UAV in each slot but the first with a probability.

    They strike at any time within the slot, and last for 3 to 8 slots. One UAV at least is always
    left.

    Args:
        probability: of a failure, a UAV and slot.
        uavs: how many UAVs there are.
        kinds: that are drawn from.
        slots: length of the run.
        seed: the same seed gives the same failures.
    """
    random = np.random.default_rng((seed, 0xFA11))
    strikes = random.random((slots, uavs)) < probability
    drawn_kinds = random.integers(len(kinds), size=(slots, uavs))
    shares = random.random((slots, uavs)).round(2)
    lengths = random.integers(*OUTAGE_SLOTS, size=(slots, uavs), endpoint=True)
    back_from = [0] * uavs
    failures = []
    for slot in range(1, slots):
        for uav in range(uavs):
            others = sum(back <= slot for i, back in enumerate(back_from) if i != uav)
            if not strikes[slot, uav] or back_from[uav] > slot or not others:
                continue
            until = slot + int(lengths[slot, uav])
            back_from[uav] = until + _SETTLED_SLOTS
            kind = kinds[drawn_kinds[slot, uav]]
            struck = slot + float(shares[slot, uav])
            failures.append(InjectedFailure(f'uav_{uav}', uav, struck, kind, until))
    return failures


def _servers(scenario: Any) -> dict[str, int]:
    servers = {f'uav_{i}': i for i in range(scenario.uavs.count)}
    return servers | {f'satellite_{i}': len(servers) + i for i in range(scenario.satellites.count)}


def _single(text: str, servers: Mapping[str, int], slots: int) -> InjectedFailure:
    match = _SOME.fullmatch(text)
    if not match:
        raise ConfigError(
            f'fail = {text!r}: give SERVER@SLOT as in uav_1@20, uav_1@20:kill or uav_1@20-25:cut, '
            'a number of UAVs, or random:PROBABILITY'
        )
    name, slot, kind = match['name'], float(match['slot']), match['kind'] or CRASH
    until = None if match['until'] is None else int(match['until'])
    if name not in servers:
        raise ConfigError(f'fail = {text!r}: unknown server; {suggest(name, list(servers))}')
    if kind not in ASKED_FOR:
        raise ConfigError(f'fail = {text!r}: unknown kind; {suggest(kind, list(ASKED_FOR))}')
    if kind == BATTERY and not name.startswith('uav_'):
        raise ConfigError(f'fail = {text!r}: only UAVs have batteries; choose another kind')
    if max(slot, until or 0) >= slots:
        raise ConfigError(
            f'fail = {text!r}: the run ends with slot {slots - 1}; choose one before'
        )
    if until is not None and until <= slot:
        raise ConfigError(
            f'fail = {text!r}: ends before it begins; choose a later end than {slot}'
        )
    return InjectedFailure(name, servers[name], slot, kind, until)


def _spread(
    number: int, uavs: int, kinds: Sequence[str], slots: int, seed: int
) -> list[InjectedFailure]:
    if not 1 <= number <= uavs:
        raise ConfigError(
            f'fail = {number}: the scenario has {uavs} UAVs; give a number from 1 to {uavs}, or '
            'leave it out'
        )
    chosen = [(seed + i) % uavs for i in range(number)]
    return [
        InjectedFailure(f'uav_{uav}', uav, slots * (i + 1) // (number + 1), kinds[i % len(kinds)])
        for i, uav in enumerate(chosen)
    ]


def _probability(text: str, value: str) -> float:
    try:
        probability = float(value)
    except ValueError:
        probability = -1.0
    if not 0 < probability <= 1:
        raise ConfigError(f'fail = {text!r}: give a probability above 0, up to 1')
    return probability
