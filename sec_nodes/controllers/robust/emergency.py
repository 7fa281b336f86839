"""Where tasks go on within their slot when a UAV has failed them, Meng and Li, (12), (13), (22).

The paper lets an optimiser choose beta, the UAV that a task moves to, knowing every failure of
the slot at once. Failures of real UAVs show one by one, so that each task is placed when it is
known to be orphaned: in time if that can be, there where it costs least energy, (27).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sec_nodes.scenarios.robust.joint import Jobs, Servers, joint_frequency_hz, weighted_energy_j
from sec_nodes.scenarios.robust.offloading import ORDER_S, RobustOffloading
from sec_nodes.scenarios.robust.power import least_power_w, unit_upload_s, upload_time_s
from sec_nodes.slot import DECLINED, LOCAL, FloatArray, SlotState

LEAST_SHARE = 0.01
"""A smaller share of a UAV's computer would not end a task that is late already."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Orphan:
    """A task whose UAV has failed, and where what has been computed for it lies."""

    task_id: int
    device: int
    """Row of the device in the state."""
    due_s: float
    """When it must be answered [s]."""
    cut: int
    """Cut whose tensor the device has."""
    ready_s: float
    """When the device has it [s]."""
    backup: int
    """UAV that the controller wants to go on, or `LOCAL` for none."""
    avoid: frozenset[int] = frozenset()
    """UAVs that have failed the task already."""
    holder: int = LOCAL
    """UAV that gave the task up and can pass its tensor on."""
    held_cut: int = 0
    """Cut of that tensor."""
    held_s: float = 0.0
    """When the holder has it [s]."""


@dataclass(frozen=True)
class Busy:
    """A share of a UAV's computer that another task has."""

    server: int
    share: float


@dataclass(frozen=True)
class Onward:
    """How a task goes on, or that it does not."""

    task_id: int
    server: int
    """UAV, `LOCAL`, or `DECLINED` if it goes nowhere."""
    reason: str = ''
    """Why it goes nowhere."""
    holder: int = LOCAL
    """UAV that passes the tensor on; `LOCAL` where the device sends it or goes on by itself."""
    cut: int = 0
    """Layers before it are done."""
    start_s: float = 0.0
    """When the order may be carried out [s]."""
    moving_s: float = 0.0
    """How long the tensor takes to the UAV [s]."""
    size_bit: float = 0.0
    """Size of what moves [bit]."""
    power_w: float = 0.0
    """Power of the sender [W]."""
    compute_share: float = 0.0
    """Share of the UAV's computer."""
    end_s: float = 0.0
    """When the answer should be ready [s]."""


@dataclass(frozen=True)
class Way:
    """One way to bring a task to a UAV: relayed, or sent again."""

    task_id: int
    server: int
    holder: int
    """UAV that relays; `LOCAL` where the device sends again."""
    cut: int
    size_bit: float
    start_s: float
    """When the order may be carried out [s]."""
    leaves_s: float
    """When the tensor leaves whoever sends it [s]."""
    power_w: float
    """Most power of the sender; a relay has no other [W]."""
    fastest_s: float
    """How long the tensor takes at that power [s]."""
    relay_j: float
    """Weighted energy of a relay, 0 of what is sent again: that depends on its power [J]."""
    unit_s: float
    """D ln2 / B of what is sent again [s]; 0 of a relay, which has nothing to choose."""
    snr_per_w: float
    """Of the uplink [1/W]."""
    cycles: float
    """What is left to compute [cycle]."""
    time_s: float
    """From when the tensor leaves to when the task must be done [s]."""


class Emergency:
    """What is left of a slot in which UAVs have failed.

    Args:
        scenario: costs and rules.
        state: the slot.
        living: UAVs that are left.
        now_s: the instant [s].
    """

    def __init__(
        self, scenario: RobustOffloading, state: SlotState, living: Iterable[int], now_s: float
    ) -> None:
        self.scenario, self.state, self.now_s = scenario, state, now_s
        self._lives = np.isin(np.arange(state.n_servers), list(living))
        self._flop_per_cycle = scenario.settings.computing.flop_per_cycle
        self.speed_hz = state.servers.flop_s / self._flop_per_cycle
        """(S,) of the UAVs' computers."""

    def ways(self, orphan: Orphan) -> list[Way]:
        """All ways to UAVs that may have a task and hear of it."""
        barred = {*orphan.avoid, orphan.holder}
        allowed = np.flatnonzero(self._lives & self.state.links.reachable[orphan.device])
        servers = [server for server in allowed.tolist() if server not in barred]
        relays = self.scenario.settings.failures.migration == 'relay'
        found = [self._resend(orphan, server) for server in servers]
        if relays and orphan.holder != LOCAL:
            found += [self._relay(orphan, server) for server in servers]
        return [way for way in found if np.isfinite(way.fastest_s)]

    def local(self, orphan: Orphan) -> Onward:
        """The device runs the rest by itself."""
        flop_s = float(self.state.devices.flop_s[orphan.device])
        begin_s = max(self.now_s, orphan.ready_s)
        return Onward(
            orphan.task_id,
            LOCAL,
            cut=orphan.cut,
            start_s=self.now_s,
            end_s=begin_s + self._work_flop(orphan, orphan.cut) / flop_s,
        )

    def local_j(self, orphan: Orphan) -> float:
        """Energy of the rest on the device, (19), if that is allowed and in time, else inf [J]."""
        if not self.goes_on_locally or self.local(orphan).end_s > orphan.due_s - ORDER_S:
            return np.inf
        flop = np.array([self._work_flop(orphan, orphan.cut)])
        flop_s = self.state.devices.flop_s[[orphan.device]]
        return float(self.scenario.front(flop, flop_s).energy_j[0])

    @property
    def goes_on_locally(self) -> bool:
        """Whether devices may run the last layers, which the paper leaves to UAVs, (28e)."""
        return self.scenario.settings.users.local_only

    def onward(self, way: Way, frequency_hz: float) -> Onward:
        """A way with a frequency there; what is sent again takes the time that this leaves."""
        computing_s = way.cycles / frequency_hz if way.cycles else 0.0
        moving_s, power_w = way.fastest_s, way.power_w
        if way.holder == LOCAL and way.time_s - computing_s > moving_s:
            moving_s = way.time_s - computing_s
            bandwidth_hz = self.state.links.bandwidth_hz[way.server]
            enough_w = float(least_power_w(way.size_bit, bandwidth_hz, way.snr_per_w, moving_s))
            power_w = min(enough_w, way.power_w)
        return Onward(
            way.task_id,
            way.server,
            holder=way.holder,
            cut=way.cut,
            start_s=way.start_s,
            moving_s=moving_s,
            size_bit=way.size_bit,
            power_w=power_w,
            compute_share=float(frequency_hz / self.speed_hz[way.server]),
            end_s=way.leaves_s + moving_s + computing_s,
        )

    def _relay(self, orphan: Orphan, server: int) -> Way:
        """The failing UAV passes its tensor on, (22), over the link (16), (17)."""
        servers, size_bit = self.state.servers, self._size_bit(orphan, orphan.held_cut)
        rate_bit_s = self.scenario.backhaul_rate_bit_s(
            servers.position_m[orphan.holder], servers.position_m[server]
        )
        moving_s, power_w = size_bit / rate_bit_s, float(servers.transmit_power_w[orphan.holder])
        start_s = max(self.now_s, orphan.held_s)
        return Way(
            task_id=orphan.task_id,
            server=server,
            holder=orphan.holder,
            cut=orphan.held_cut,
            size_bit=size_bit,
            start_s=start_s,
            leaves_s=start_s,
            power_w=power_w,
            fastest_s=moving_s,
            relay_j=self.scenario.settings.objective.compute_weight * power_w * moving_s,
            unit_s=0.0,
            snr_per_w=1.0,
            cycles=self._work_flop(orphan, orphan.held_cut) / self._flop_per_cycle,
            time_s=orphan.due_s - ORDER_S - start_s,
        )

    def _resend(self, orphan: Orphan, server: int) -> Way:
        """The device sends its tensor again, (20), (21)."""
        links, size_bit = self.state.links, self._size_bit(orphan, orphan.cut)
        bandwidth_hz, power_w = links.bandwidth_hz[server], self.scenario.transmit_power_w[1]
        snr_per_w = float(links.gain[orphan.device, server] / links.noise_w[server])
        leaves_s = max(self.now_s, orphan.ready_s)
        return Way(
            task_id=orphan.task_id,
            server=server,
            holder=LOCAL,
            cut=orphan.cut,
            size_bit=size_bit,
            start_s=self.now_s,
            leaves_s=leaves_s,
            power_w=power_w,
            fastest_s=float(upload_time_s(size_bit, bandwidth_hz, snr_per_w, power_w)),
            relay_j=0.0,
            unit_s=float(unit_upload_s(size_bit, bandwidth_hz)),
            snr_per_w=snr_per_w,
            cycles=self._work_flop(orphan, orphan.cut) / self._flop_per_cycle,
            time_s=orphan.due_s - ORDER_S - leaves_s,
        )

    def _work_flop(self, orphan: Orphan, cut: int) -> float:
        model = self.state.devices.model[orphan.device]
        return float(self.state.models.back_flop[model, cut])

    def _size_bit(self, orphan: Orphan, cut: int) -> float:
        model = self.state.devices.model[orphan.device]
        return float(self.state.models.cut_bit[model, cut])


class Room:
    """Computers of UAVs, shared by rule `joint` among what moves there.

    Args:
        free_hz: (S,) what nobody has.
        energy: w2 kappa, as in `sec_nodes.scenarios.robust.joint`.
    """

    def __init__(self, free_hz: FloatArray, energy: float) -> None:
        self._free_hz, self._energy = free_hz, energy
        self.taken: list[Way] = []
        """Ways that tasks go, all in time."""
        self.spent_j = 0.0
        """Least weighted energy of them together [J]."""

    def with_each_j(self, ways: Sequence[Way]) -> FloatArray:
        """(N,) least weighted energy of all that is taken and one way more; inf without room."""
        if not ways:
            return np.empty(0)
        frequency_hz, cost_j = self._shared([[*self.taken, way] for way in ways])
        return np.where(np.isfinite(frequency_hz).all(axis=1), cost_j, np.inf)

    def take(self, way: Way, spent_j: float) -> None:
        """Let a task go a way, with what `with_each_j` says of it."""
        self.taken.append(way)
        self.spent_j = spent_j

    def frequency_hz(self) -> FloatArray:
        """(K,) what each way has of its computer."""
        return self._shared([self.taken])[0][0]

    def left_hz(self, frequency_hz: FloatArray) -> FloatArray:
        """(S,) what nobody has besides that."""
        servers = [way.server for way in self.taken]
        used_hz = np.bincount(servers, frequency_hz, len(self._free_hz))
        return np.asarray(self._free_hz - used_hz)

    def _shared(self, sets: Sequence[Sequence[Way]]) -> tuple[FloatArray, FloatArray]:
        """(N, K) frequencies of sets of K ways, infinite without room; (N,) their energies."""
        jobs = Jobs(
            *(
                np.array([[getattr(way, name) for way in ways] for ways in sets])
                for name in ('cycles', 'snr_per_w', 'time_s', 'unit_s', 'fastest_s')
            )
        )
        server = np.array([[way.server for way in ways] for ways in sets], dtype=np.int64)
        free_hz, count = self._free_hz, len(self._free_hz)
        least_hz = Servers(server, count).total(jobs.least_hz)
        fits = np.all(least_hz <= free_hz * (1.0 + _ROUNDING), axis=1)[:, None]
        served, server = np.broadcast_to(fits, server.shape), np.where(fits, server, -1)
        frequency_hz = joint_frequency_hz(jobs, served, server, count, free_hz, self._energy)
        with np.errstate(divide='ignore', invalid='ignore'):
            computing_s = np.where(jobs.cycles > 0, jobs.cycles / frequency_hz, 0.0)
        cost_j = weighted_energy_j(jobs, computing_s, self._energy).sum(axis=1)
        cost_j += np.array([sum(way.relay_j for way in ways) for ways in sets])
        return np.where(fits, frequency_hz, np.inf), cost_j


def redirect(
    scenario: RobustOffloading,
    state: SlotState,
    orphans: Sequence[Orphan],
    in_flight: Iterable[Busy],
    living: Iterable[int],
    now_s: float,
) -> list[Onward]:
    """Say where each orphan goes on.

    A task can be relayed if somebody holds its tensor, sent again by its device, or run by the
    device itself, where that is allowed. Of the UAVs that finish it in time out of what their
    computers have left, the backup of its decision comes first, else the one that adds the least
    weighted energy, (27), to that of all tasks that move; the device goes on where it needs less.
    Powers and shares of what moves follow from rule `joint`. If nobody can be in time, whoever is
    ready first goes on. Tasks that their devices cannot end in time choose first, and among equals
    those that need least of a computer. Nothing moves where the scenario has no migration.

    Args:
        scenario: costs and rules.
        state: the slot, whose positions and links hold.
        orphans: tasks to place.
        in_flight: shares of computers that other tasks have.
        living: UAVs that are left.
        now_s: the instant [s].
    """
    if scenario.settings.failures.migration == 'none':
        return [Onward(orphan.task_id, DECLINED, 'not migrated') for orphan in orphans]
    emergency = Emergency(scenario, state, living, now_s)
    free = np.ones(state.n_servers)
    for busy in in_flight:
        free[busy.server] -= busy.share
    energy = scenario.settings.objective.compute_weight
    energy *= scenario.settings.computing.capacitance_j_s2
    room = Room(np.maximum(free, 0.0) * emergency.speed_hz, energy)
    waiting = [(orphan, emergency.ways(orphan)) for orphan in orphans]
    waiting.sort(key=lambda pair: _turn(emergency, *pair))
    placed, late = [], []
    for orphan, ways in waiting:
        way, spent_j = _cheapest(room, ways, orphan.backup)
        alone_j = room.spent_j + emergency.local_j(orphan)
        if way is not None and spent_j <= alone_j:
            room.take(way, spent_j)
        elif np.isfinite(alone_j):
            placed.append(emergency.local(orphan))
        else:
            late.append((orphan, ways))
    frequency_hz = room.frequency_hz()
    placed += map(emergency.onward, room.taken, frequency_hz.tolist())
    left_hz = room.left_hz(frequency_hz)
    for orphan, ways in late:
        onward = _earliest(emergency, orphan, ways, left_hz)
        if onward.server >= 0:
            left_hz[onward.server] = 0.0
        placed.append(onward)
    return placed


def _turn(emergency: Emergency, orphan: Orphan, ways: Sequence[Way]) -> tuple[bool, float]:
    """Sorts tasks: those without a device that is in time first, then by least frequency."""
    least_hz = [way.cycles / left_s for way in ways if (left_s := way.time_s - way.fastest_s) > 0]
    return np.isfinite(emergency.local_j(orphan)), min(least_hz, default=np.inf)


def _cheapest(room: Room, ways: Sequence[Way], backup: int) -> tuple[Way | None, float]:
    """The way in time to the backup, else to any UAV, of least energy; all that is then spent."""
    spent_j = room.with_each_j(ways)
    wanted = np.array([way.server == backup for way in ways], dtype=bool)
    if np.isfinite(spent_j[wanted]).any():
        spent_j = np.where(wanted, spent_j, np.inf)
    if not np.isfinite(spent_j).any():
        return None, np.inf
    best = int(np.argmin(spent_j))
    return ways[best], float(spent_j[best])


def _earliest(
    emergency: Emergency, orphan: Orphan, ways: Sequence[Way], left_hz: FloatArray
) -> Onward:
    """Nobody is in time: whoever is ready first, a UAV with all that it has left."""
    onwards = [emergency.local(orphan)] if emergency.goes_on_locally else []
    for way in ways:
        if left_hz[way.server] >= LEAST_SHARE * emergency.speed_hz[way.server]:
            onwards.append(emergency.onward(way, float(left_hz[way.server])))
    nowhere = Onward(orphan.task_id, DECLINED, 'no room')
    return min(onwards, key=lambda onward: onward.end_s, default=nowhere)
