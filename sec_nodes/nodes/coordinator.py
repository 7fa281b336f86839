"""Node `coordinator`: drives the slots, keeps the ledger of tasks, and owns simulated time.

It holds no policy. Each slot it gathers what everybody reports, asks the channel for the links,
shows the controller the state, checks the answer, and sends out the assignments. Whatever
happens, each task that it has heard of ends exactly once.
"""

from __future__ import annotations

import math
import time
from enum import Enum, auto
from typing import Any

import numpy as np
from rclpy.duration import Duration

from sec_nodes.controllers.base import create
from sec_nodes.loop.ledger import Ledger
from sec_nodes.nodes import names
from sec_nodes.nodes.base import SLOW_START_S, SecNode, is_matched, run
from sec_nodes.nodes.clock import SimulatedRunClock, WallRunClock
from sec_nodes.nodes.coordinator_parameters import Parameters
from sec_nodes.nodes.dispatch import Dispatcher
from sec_nodes.nodes.losses import Losses
from sec_nodes.nodes.muster import Muster
from sec_nodes.nodes.scene import scene_markers
from sec_nodes.nodes.slot_messages import decision_from
from sec_nodes.nodes.task_desk import TaskDesk
from sec_offload import msg

TICK_S = 0.005
"""Wall time between looks at what time alone changes [s]; all else is driven by messages."""
FAREWELL_S = 0.3
"""Wall time to take in what is under way when the run is interrupted [s]."""
LONG_FAREWELL_S = 1.5
"""The same while tasks of the slot may be on their way from devices [s]."""
LOCKSTEP_PATIENCE = 10
"""How much longer a decision or a link table may take, or silence last, where the clock stands
still."""
RESEND_S = 0.5
"""Wall time after which an unanswered request is repeated [s]."""
SETTLE_S = 1.2
"""Wall time for nodes to find each other once the coordinator has found them all [s]: nobody is
sent anything who is not yet known, and what discovery loses, Fast DDS repeats after a second."""


class Phase(Enum):
    """Where a slot stands."""

    WAITING = auto()
    GATHERING = auto()
    LINKING = auto()
    DECIDING = auto()
    SERVING = auto()
    INTERRUPTED = auto()
    OVER = auto()


class CoordinatorNode(SecNode):
    """The slot loop."""

    def __init__(self) -> None:
        super().__init__('coordinator', Parameters)
        self.chosen: Parameters = self.settings_of_run
        self.world = self.read_world()
        scenario, settings = self.world.scenario, self.world.settings
        self.slots = self.chosen.slots
        if self.world.missions is not None:
            self.slots = min(self.slots, settings.slots)
        name = self.chosen.fallback or self.world.fallback
        fallback = create(name, scenario, self.chosen.seed)
        fails_over = self.world.failover is not None
        self.ledger = Ledger(self.chosen.max_attempts, first_answer_counts=fails_over)
        in_lockstep = self.chosen.backend == 'sim' and self.chosen.speed == 0.0
        patience = LOCKSTEP_PATIENCE if in_lockstep else 1
        self.muster = Muster(
            self, self.world, self.chosen.heartbeat_timeout_s, patience, self.chosen.await_nodes
        )
        self.devices, self.servers = self.muster.devices, self.muster.servers
        self.names = self.muster.names
        self.dispatcher = Dispatcher(self.world, fallback, self.ledger)
        self.desk = TaskDesk(self, scenario, self.ledger, self.stamp_of_now)
        self.losses = Losses(self)
        self.phase = Phase.WAITING
        self.interrupts = 0
        self.slot = -1
        self.clock: SimulatedRunClock | WallRunClock = (
            SimulatedRunClock(self, self.chosen.speed)
            if self.chosen.backend == 'sim'
            else WallRunClock(self)
        )
        self.advertise_all()
        self.decisions = self.listen(names.SLOT_DECISION, self.on_decision)
        self.tables = self.listen(names.LINK_TABLE, self.on_link_table)
        self.lifelines = (
            self.starts,
            self.requests,
            self.batches,
            self.tables,
            self.listen(names.DEVICE_REPORT, self.on_device_report),
            self.listen(names.SERVER_REPORT, self.on_server_report),
            self.listen(names.TASK_REPORT, self.on_task_report),
        )
        self.listen(names.READY, lambda message: self.muster.unready.discard(message.data))
        name, kind = names.INJECT_FAILURE
        self.create_service(kind, name, self.losses.inject)
        self.phase_at = self.resent_at = self.slot_at = self.news_at = time.monotonic()
        self.outcome = msg.SlotOutcome()
        self.waiting_for = ''
        self.whole_at = math.inf
        """Since when nobody is missing [instant of the machine]."""
        self.create_wall_timer(TICK_S, self.tick)

    def advertise_all(self) -> None:
        """Publishers of everything that the coordinator says."""
        self.starts = self.advertise(names.SLOT_START)
        self.requests = self.advertise(names.LINK_REQUEST)
        self.states = self.advertise(names.SLOT_STATE)
        self.batches = self.advertise(names.ASSIGNMENTS)
        self.balances = self.advertise(names.SLOT_OUTCOME)
        self.run_states = self.advertise(names.RUN_STATE)
        self.scenes = self.advertise(names.SCENE)

    @property
    def slot_start_s(self) -> float:
        """Start of the current slot [s]."""
        return max(self.slot, 0) * self.world.settings.slot_s

    @property
    def now_s(self) -> float:
        """Time of the run [s]; in lockstep the start of the slot."""
        return self.slot_start_s if self.clock.lockstep else self.clock.now_s()

    @property
    def is_gathering(self) -> bool:
        """Whether the slot has been opened, and reports are awaited."""
        return self.phase is Phase.GATHERING

    @property
    def is_serving(self) -> bool:
        """Whether the slot has been decided."""
        return self.phase is Phase.SERVING

    def stamp_of_now(self) -> Any:
        """The ROS time of now."""
        return self.clock.stamp(self.clock.now_s())

    def health(self) -> dict[str, object]:
        """Where the run stands."""
        return {
            'phase': self.phase.name,
            'slot': self.slot,
            'open tasks': len(self.ledger.open),
            'stale reports': self.ledger.stale,
        }

    # -- the slot loop ---------------------------------------------------------------------------

    def tick(self) -> None:
        """Look after what time alone changes."""
        if self.phase is Phase.OVER:
            return
        if self.interrupts and self.phase is not Phase.INTERRUPTED:
            self.enter(Phase.INTERRUPTED)
        self.muster.look()
        self.losses.look()
        self.progress()

    def progress(self) -> None:
        """Take the next step of the slot, if it is possible."""
        waited_s = time.monotonic() - self.phase_at
        if self.phase is Phase.WAITING:
            self.wait_for_fleet(waited_s)
        elif self.phase is Phase.GATHERING:
            if not self.muster.awaited(self.slot) or waited_s > self.chosen.report_timeout_s:
                self.ask_for_links()
            else:
                self.resend(self.starts, self.start_message())
        elif self.phase is Phase.LINKING:
            self.resend(self.requests, self.dispatcher.link_request)
            patience_s = self.chosen.report_timeout_s + self.chosen.heartbeat_timeout_s
            if waited_s > patience_s * (LOCKSTEP_PATIENCE if self.clock.lockstep else 1):
                self.abort('the channel does not answer link requests')
        elif self.phase is Phase.DECIDING:
            nobody = not is_matched(self, self.decisions)
            patience = LOCKSTEP_PATIENCE if self.clock.lockstep else 1
            patience_s = patience * self.chosen.decision_timeout_s + self.planning_s()
            if nobody or waited_s > patience_s:
                self.decide_by_fallback('nobody listens' if nobody else 'no answer in time')
        elif self.phase is Phase.SERVING and self.slot_is_over():
            self.next_slot()
        elif self.phase is Phase.INTERRUPTED and waited_s > self.farewell_s():
            self.finish(msg.RunState.ABORTED, 'run_aborted', 1)

    def enter(self, phase: Phase) -> None:
        """Go to another phase."""
        self.phase = phase
        self.phase_at = self.resent_at = time.monotonic()

    def resend(self, publisher: Any, message: Any) -> None:
        """Repeat a request that somebody may have missed."""
        if time.monotonic() - self.resent_at > RESEND_S:
            self.resent_at = time.monotonic()
            publisher.publish(message)

    def wait_for_fleet(self, waited_s: float) -> None:
        """Begin when everybody has been heard of."""
        missing = self.muster.absent()
        if not missing and not is_matched(self, self.decisions):
            missing = ['controller']
        if not missing and not is_matched(self, self.tables):
            missing = ['channel']
        if missing or not self.wired(*self.lifelines):
            self.whole_at = math.inf
        else:
            self.whole_at = min(self.whole_at, time.monotonic())
            if time.monotonic() - self.whole_at > SETTLE_S:
                self.begin()
            return
        shown = ', '.join(missing[:8]) + (' ...' if len(missing) > 8 else '')
        if waited_s > self.chosen.await_timeout_s:
            if missing in ([], ['controller']):
                self.begin()
            else:
                self.abort(f'no report within {self.chosen.await_timeout_s} s from: {shown}')
        elif waited_s > SLOW_START_S:
            self.wait_openly(f'for {shown or "topics to be connected"}')
        else:
            self.wait_openly('for the nodes of the fleet')

    def wait_openly(self, waiting_for: str) -> None:
        """Say whom the run waits for, when that has changed."""
        if waiting_for != self.waiting_for:
            self.waiting_for = waiting_for
            self.announce(msg.RunState.WAITING, waiting_for)

    def begin(self) -> None:
        """Open the first slot."""
        self.clock.begin()
        self.slot_at = time.monotonic()
        self.open_slot(0)

    def open_slot(self, slot: int) -> None:
        """Tell everybody that a slot begins."""
        self.slot = slot
        # the clock may not run on before the slot is decided, nor a mission begin unplanned
        stands = self.clock.lockstep or self.dispatcher.lacks_plan()
        self.clock.allow_until(self.slot_start_s + (not stands) * self.slot_s())
        self.outcome = msg.SlotOutcome(slot=slot, start_s=self.slot_start_s)
        self.enter(Phase.GATHERING)
        draining = slot >= self.slots
        self.announce(msg.RunState.DRAINING if draining else msg.RunState.RUNNING)
        self.starts.publish(self.start_message())

    def planning_s(self) -> float:
        """Wall time that the controller has for the plan of a mission, if this is one [s]."""
        missions = self.world.missions
        if missions is None:
            return 0.0
        return missions.planning_s if self.dispatcher.lacks_plan() else missions.replanning_s

    def slot_s(self) -> float:
        """Length of a slot [s]."""
        return self.world.settings.slot_s

    def start_message(self) -> msg.SlotStart:
        """The opening of the current slot."""
        message = msg.SlotStart(
            slot=self.slot,
            start_s=self.slot_start_s,
            slot_s=self.slot_s(),
            speed=self.clock.speed,
            new_tasks=self.slot < self.slots,
        )
        message.header.frame_id = names.MAP_FRAME
        message.header.stamp = self.clock.stamp(self.slot_start_s)
        return message

    def ask_for_links(self) -> None:
        """Everybody has reported: where does that leave the links?"""
        serving = self.losses.serving()
        self.dispatcher.gather(self.slot, self.devices, self.servers, serving, self.names)
        self.dispatcher.link_request.header.stamp = self.clock.stamp(self.slot_start_s)
        self.enter(Phase.LINKING)
        self.requests.publish(self.dispatcher.link_request)

    def on_link_table(self, table: msg.LinkTable) -> None:
        """Show the controller the state of the slot."""
        if self.phase is not Phase.LINKING or table.slot != self.slot:
            return
        self.losses.send_on()  # nobody may be offered to the controller and sent on as well
        message = self.dispatcher.make_state(table, self.slot_start_s, self.slot_s())
        message.header.stamp = self.clock.stamp(self.slot_start_s)
        self.enter(Phase.DECIDING)
        self.states.publish(message)

    def on_decision(self, message: msg.SlotDecision) -> None:
        """A controller has answered."""
        if self.phase is not Phase.DECIDING or message.slot != self.slot:
            self.complain('decision not asked for', f'slot {message.slot} in slot {self.slot}')
            return
        state = self.dispatcher.state
        decision, unknown = decision_from(message, state)
        if unknown:
            self.complain('decision on unknown task', f'{unknown} from {message.controller}')
        self.outcome.decide_s = time.monotonic() - self.phase_at
        self.apply(decision, message.controller or 'unnamed', fallback=False)

    def decide_by_fallback(self, why: str) -> None:
        """Nobody decided: the fallback does."""
        fallback = self.dispatcher.fallback
        self.complain('fallback', f'slot {self.slot}: {why}, {fallback.name} decides')
        self.outcome.decide_s = time.monotonic() - self.phase_at
        decision = fallback.decide(self.dispatcher.state)
        self.apply(decision, fallback.name, fallback=True)

    def apply(self, decision: Any, controller: str, fallback: bool) -> None:
        """Check a decision and send it out."""
        now_s = self.now_s
        batch, screened, ended = self.dispatcher.dispatch(decision, controller, now_s)
        batch.fallback = fallback
        self.outcome.controller, self.outcome.fallback = controller, fallback
        self.outcome.tasks_decided = len(batch.assignments)
        self.outcome.decisions_repaired = (
            int(np.count_nonzero(screened.repaired)) + screened.relays_held
        )
        self.outcome.decisions_rejected = int(np.count_nonzero(screened.rejected))
        for what, which in screened.complaints():
            self.complain(what, f'{controller}: {which}')
        if self.dispatcher.plan_fault:
            self.complain(
                'plan that cannot be flown', f'{controller}: {self.dispatcher.plan_fault}'
            )
        self.send(batch)
        for outcome in ended:
            self.desk.end(outcome)
        settings = self.world.settings
        self.scenes.publish(
            scene_markers(
                self.dispatcher.state, batch, self.names, settings.area_m, self.clock.stamp(now_s)
            )
        )
        self.enter(Phase.SERVING)
        self.losses.take_back_undelivered(batch)
        if not self.clock.lockstep:
            self.clock.allow_until(self.slot_start_s + 2 * self.slot_s())

    def send(self, batch: msg.AssignmentBatch) -> None:
        """Publish assignments."""
        batch.header.stamp = self.clock.stamp(self.clock.now_s())
        batch.header.frame_id = names.MAP_FRAME
        self.batches.publish(batch)

    def slot_is_over(self) -> bool:
        """Whether the next slot may begin."""
        if not self.clock.lockstep:
            return self.clock.now_s() >= self.slot_start_s + self.slot_s() - 1e-9
        return (
            not self.losses.unfinished()
            and self.losses.is_quiet
            and not self.dispatcher.owes(self.ledger.in_flight())
        )

    def next_slot(self) -> None:
        """Close the slot, and open the next one or end the run."""
        self.close_slot()
        following = self.slot + 1
        if following < self.slots or (
            self.ledger.open and following < self.slots + self.chosen.drain_slots
        ):
            self.open_slot(following)
        else:
            self.finish(msg.RunState.FINISHED, 'run_ended', 0)

    def close_slot(self) -> None:
        """Publish the balance of the slot."""
        at = time.monotonic()
        self.outcome.tasks_open = len(self.ledger.open)
        self.outcome.real_time_factor = self.slot_s() / max(at - self.slot_at, 1e-9)
        self.outcome.header.stamp = self.clock.stamp(self.slot_start_s)
        self.slot_at = at
        self.balances.publish(self.outcome)

    # -- news ------------------------------------------------------------------------------------

    def on_device_report(self, report: msg.DeviceReport) -> None:
        """Devices live; perhaps they have new tasks."""
        self.muster.hear_devices(report)
        if report.slot >= 0 and self.phase is not Phase.OVER:
            self.outcome.tasks_new += self.desk.enter(report.tasks, report.slot)
        self.progress()

    def on_server_report(self, report: msg.ServerReport) -> None:
        """Servers live."""
        for state in self.muster.sound_servers(report):
            self.losses.hear_server(state, report.slot)
        self.progress()

    def on_task_report(self, report: msg.TaskReport) -> None:
        """A try has brought an answer, or has failed."""
        self.news_at = time.monotonic()
        self.losses.take_report(report)
        self.progress()

    # -- the run ---------------------------------------------------------------------------------

    def announce(self, state: int, detail: str = '') -> None:
        """Publish where the run stands."""
        message = msg.RunState(
            state=state,
            detail=detail,
            run=self.chosen.run,
            scenario=self.world.settings.name,
            slot=max(self.slot, 0),
            slots=self.slots,
            tasks_created=self.ledger.created,
            tasks_ended=sum(self.ledger.ended.values()),
            speed=self.chosen.speed,
        )
        message.header.stamp = self.clock.stamp(self.slot_start_s)
        self.run_states.publish(message)

    def abort(self, reason: str) -> None:
        """End a run that cannot go on."""
        self.get_logger().error(reason)
        self.finish(msg.RunState.ABORTED, reason, 1)

    def finish(self, state: int, reason: str, code: int) -> None:
        """Give every open task an outcome, say that the run is over, and end the process."""
        self.phase = Phase.OVER
        self.desk.abandon(reason)
        self.announce(state, reason)
        for publisher in (self.desk.outcomes, self.balances, self.run_states):
            publisher.wait_for_all_acked(Duration(seconds=2))
        self.stop(code)

    def farewell_s(self) -> float:
        """Wall time from an interrupt to the end [s]: none for somebody who interrupts twice."""
        if self.interrupts > 1:
            return 0.0
        return LONG_FAREWELL_S if self.devices.awaited(self.slot) else FAREWELL_S

    def interrupt(self) -> None:
        """Abort the run in good order; whoever interrupts again does not wait for messages."""
        self.interrupts += 1

    def close(self) -> None:
        """Stop the clock."""
        self.clock.close()


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(CoordinatorNode, args)


if __name__ == '__main__':
    main()
