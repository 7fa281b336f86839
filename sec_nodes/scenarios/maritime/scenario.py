"""Urgent tasks and stored data over the sea: UAVs share a satellite that passes.

Qi et al., "Joint Computation Offloading and Resource Management for Cooperative
Satellite-Aerial-Marine Internet of Things Networks", IEEE Internet Things J. 12(24), 2025, eqs (1)
to (28).  The formulas are reconstructed from the paper's prose: docs/scenario_maritime.md says
what is stated, what follows and what was chosen.  Shapes: B copies, M UAVs.
"""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np

from sec_nodes.physics import channel, spherical
from sec_nodes.physics.checks import Floats
from sec_nodes.physics.constants import SPEED_OF_LIGHT_M_S
from sec_nodes.scenarios.base import Scenario, SlotSummary
from sec_nodes.scenarios.maritime import stages
from sec_nodes.scenarios.maritime.devices import draw_devices, draw_uavs, noise_w
from sec_nodes.scenarios.maritime.settings import MaritimeSettings
from sec_nodes.scenarios.maritime.stages import TOLERANCE
from sec_nodes.scenarios.maritime.state import MaritimeDecision, MaritimeOutcome, MaritimeState
from sec_nodes.slot import BoolArray, FloatArray, IntArray

BIT_PER_MBIT = 1e6


class Maritime(Scenario[MaritimeState, MaritimeDecision, MaritimeOutcome]):
    """UAVs, their marine devices and one LEO satellite, slot by slot."""

    name = 'maritime'
    reference = 'jcorm'
    settings: MaritimeSettings

    def __init__(self, settings: MaritimeSettings) -> None:
        self.settings = settings
        satellite, radio = settings.satellite, settings.radio
        elevation_rad = math.radians(satellite.minimum_elevation_deg)
        half_angle_rad = spherical.footprint_half_angle_rad(satellite.altitude_m, elevation_rad)
        self.visible_s = float(spherical.zenith_pass_s(satellite.altitude_m, elevation_rad))
        """How long the satellite is in view in one pass T_vis, (1) and (2) [s]."""
        self.orbit_s = 2.0 * math.pi / float(spherical.orbital_rate_rad_s(satellite.altitude_m))
        """From one pass to the next 2 pi (R_E + H_L) / v_s, without the Earth's rotation [s]."""
        self.slant_m = float(spherical.slant_range_m(satellite.altitude_m, half_angle_rad))
        """Distance to the satellite d_L, (8) [m]; the altitude of the UAVs is neglected."""
        self.round_trip_s = 2.0 * self.slant_m / SPEED_OF_LIGHT_M_S
        """Propagation of task and result, twice (14) [s]."""
        sharers = settings.uavs.count if radio.split_satellite_band else 1
        self.band_hz = radio.satellite_bandwidth_hz / sharers
        """Band of one UAV's channel to the satellite B_m [Hz]."""
        self.noise_w = float(noise_w(radio, self.band_hz))
        """Noise power in that band [W]."""

    @property
    def horizon(self) -> int:
        """Slots N of an experiment."""
        return self.settings.slots

    def reset(self, seed: IntArray) -> MaritimeState:
        """Place the UAVs, fill their storage and draw the devices of the first slot."""
        seeds = np.asarray(seed)
        uavs = self.settings.uavs
        stored_bit = uavs.storage_bit - uavs.initially_free_bit
        return self._state(
            seeds,
            np.zeros_like(seeds),
            np.full((len(seeds), uavs.count), stored_bit),
            draw_uavs(self.settings, seeds),
        )

    def evaluate(self, state: MaritimeState, decision: MaritimeDecision) -> MaritimeOutcome:
        """Times, data, energies and utility of a decision, (11) to (28).

        What lies outside its range is held within it, and shares of CPU beyond the satellite's
        shrink in proportion; each is counted as a violation.  Storage can neither overflow nor
        run below empty whatever starts when, (18) and (20).  A task that is not done when the
        slot ends takes the whole slot: nothing is uploaded after it.  Without a satellite in view
        nothing is sent or uploaded, and what should be offloaded is never done; data are still
        collected.

        Raises:
            ValueError: a wrong shape, a NaN, an infinite or a negative number.
        """
        _check(state, decision)
        s = self.settings
        slot_s = s.slot_s
        power_w = np.minimum(decision.power_w, s.uavs.largest_power_w)
        ratio = np.minimum(decision.ratio, 1.0)
        start_s = np.minimum(decision.start_s, slot_s)
        given_hz = decision.cpu_hz.sum(axis=-1, keepdims=True)
        cpu_hz = decision.cpu_hz * np.minimum(
            1.0, s.satellite.cpu_hz / np.maximum(given_hz, s.satellite.cpu_hz)
        )

        offloaded_bit = ratio * state.batch_bit
        local = stages.on_uav(s, (1.0 - ratio) * state.batch_bit)
        sent = stages.sending(offloaded_bit, self.leo_rate_bit_s(state, power_w), power_w)
        arrives = np.isfinite(sent.time_s)  # a link of rate 0 is not used
        execute = stages.on_satellite(s, offloaded_bit, cpu_hz)
        propagation_s = np.where(offloaded_bit > 0, 0.5 * self.round_trip_s, 0.0)
        offload_s = sent.time_s + 2.0 * propagation_s + execute.time_s
        finish_s = state.upload_s + np.maximum(local.time_s, offload_s)
        late = stages.is_late(s, finish_s)

        really_s = np.where(late, slot_s, start_s)
        offered_bit = state.collect_rate_bit_s * really_s
        collected_bit = stages.collected_bit(s, offered_bit, state.stored_bit)
        uploaded_bit, tolerant_radio_j = stages.uploading(
            s,
            really_s,
            self.leo_rate_bit_s(state, s.uavs.upload_power_w),
            state.stored_bit + collected_bit,
        )
        satellite_compute_j = np.where(arrives, execute.energy_j, 0.0)
        parts_j = sent.energy_j + tolerant_radio_j + local.energy_j + satellite_compute_j
        energy_j = parts_j.sum(axis=-1)
        delivered_mbit = uploaded_bit.sum(axis=-1) / BIT_PER_MBIT
        return MaritimeOutcome(
            local_s=local.time_s,
            transmit_s=sent.time_s,
            propagation_s=propagation_s,
            execute_s=execute.time_s,
            finish_s=finish_s,
            late=late,
            start_s=really_s,
            collected_bit=collected_bit,
            overflow_bit=offered_bit - collected_bit,
            uploaded_bit=uploaded_bit,
            next_stored_bit=np.clip(
                state.stored_bit + collected_bit - uploaded_bit, 0.0, s.uavs.storage_bit
            ),
            sensitive_radio_j=sent.energy_j,
            tolerant_radio_j=tolerant_radio_j,
            uav_compute_j=local.energy_j,
            satellite_compute_j=satellite_compute_j,
            energy_j=energy_j,
            utility_mbit=delivered_mbit - s.energy_weight_mbit_j * energy_j,
            violations=self._violations(state, decision, finish_s, start_s),
        )

    def step(
        self, state: MaritimeState, decision: MaritimeDecision
    ) -> tuple[MaritimeState, MaritimeOutcome]:
        """The outcome of a slot, and the next slot: storage by (22), devices drawn anew."""
        outcome = self.evaluate(state, decision)
        following = self._state(state.seed, state.slot + 1, outcome.next_stored_bit, state.uav_m)
        return following, outcome

    def summarise(self, state: MaritimeState, outcome: MaritimeOutcome) -> SlotSummary:
        """A slot in figures; a task is what one UAV has to have computed.

        Violations are those of (28a) to (28e).  (28f) is the deadline; (28g) and (28h) cannot be
        broken, since storage neither overflows nor runs below empty: `overflow_mbit` says what
        was lost instead.
        """
        asked = state.batch_bit > 0
        served = asked & ~outcome.late
        in_time = asked & ~outcome.violations['f']
        of_served_s = np.where(served, outcome.finish_s, 0.0).sum(axis=-1)
        n_served = served.sum(axis=-1)
        broken = np.stack([outcome.violations[letter] for letter in 'abce'])
        n_broken = broken.sum(axis=(0, -1)) + outcome.violations['d'].any(axis=-1)
        return SlotSummary(
            cost=-outcome.utility_mbit,
            latency_s=np.where(n_served > 0, of_served_s / np.maximum(n_served, 1), np.nan),
            energy_j=outcome.energy_j,
            tasks=asked.sum(axis=-1).astype(float),
            completed=in_time.sum(axis=-1).astype(float),
            violations=n_broken.astype(float),
            extra={
                'utility_mbit': outcome.utility_mbit,
                'delivered_mbit': outcome.uploaded_bit.sum(axis=-1) / BIT_PER_MBIT,
                'collected_mbit': outcome.collected_bit.sum(axis=-1) / BIT_PER_MBIT,
                'overflow_mbit': outcome.overflow_bit.sum(axis=-1) / BIT_PER_MBIT,
                'stored_mbit': outcome.next_stored_bit.sum(axis=-1) / BIT_PER_MBIT,
                'late': outcome.late.sum(axis=-1).astype(float),
                'early_uploads': (asked & outcome.violations['f'] & ~outcome.late)
                .sum(axis=-1)
                .astype(float),
            },
        )

    def in_view(self, slot: IntArray) -> BoolArray:
        """Whether a slot lies wholly within a pass; in no other one can the satellite be used.

        The first pass begins at `satellite.rises_s`, each further one an orbit later; any shape.
        """
        slot_s = self.settings.slot_s
        rounding_s = TOLERANCE * slot_s
        since_s = np.asarray(slot) * slot_s - self.settings.satellite.rises_s + rounding_s
        into_pass_s = np.mod(since_s, self.orbit_s) - rounding_s
        return (since_s >= 0) & (into_pass_s + slot_s <= self.visible_s + rounding_s)

    def leo_gain(self, slot: IntArray) -> FloatArray:
        """(B, M) power gain from UAV to satellite h^L, (7); 0 while it is not `in_view`."""
        radio = self.settings.radio
        reference = channel.db_to_ratio(radio.reference_gain_db + radio.antenna_gain_db)
        gain = channel.air_ground_gain(self.slant_m, reference, 2.0, 1.0)
        seen = np.where(self.in_view(slot), gain, 0.0)
        return np.repeat(seen[:, None], self.settings.uavs.count, axis=1)

    def leo_rate_bit_s(self, state: MaritimeState, power_w: Floats) -> FloatArray:
        """(B, M) rate from UAV to satellite R_m(p), (9) and (10) [bit/s]."""
        return self.relay_rate_bit_s(state.leo_gain, power_w)

    def relay_rate_bit_s(self, gain: Floats, power_w: Floats) -> FloatArray:
        """Rate from a UAV to the satellite over a power gain, (9) and (10) [bit/s]; any shape."""
        return channel.shannon_rate_bit_s(self.band_hz, power_w * np.asarray(gain) / self.noise_w)

    def _state(
        self, seed: IntArray, slot: IntArray, stored_bit: FloatArray, uav_m: FloatArray
    ) -> MaritimeState:
        devices = draw_devices(self.settings, seed, slot, uav_m)
        return MaritimeState(
            seed=seed,
            slot=slot,
            stored_bit=stored_bit,
            uav_m=uav_m,
            devices=devices,
            upload_s=devices.upload_s,
            batch_bit=devices.batch_bit,
            collect_rate_bit_s=devices.collect_rate_bit_s,
            leo_gain=self.leo_gain(slot),
        )

    def _violations(
        self,
        state: MaritimeState,
        decision: MaritimeDecision,
        finish_s: FloatArray,
        start_s: FloatArray,
    ) -> dict[str, BoolArray]:
        """Constraints (28a) to (28h) that a decision breaks by more than rounding, each (B, M)."""
        s = self.settings
        slack = 1.0 + TOLERANCE
        free_bit = s.uavs.storage_bit - state.stored_bit
        rounding_bit = TOLERANCE * s.uavs.storage_bit
        collected_bit = state.collect_rate_bit_s * start_s
        uploaded_bit = self.leo_rate_bit_s(state, s.uavs.upload_power_w) * (s.slot_s - start_s)
        given_hz = decision.cpu_hz.sum(axis=-1, keepdims=True)
        return {
            'a': decision.ratio > slack,
            'b': decision.start_s > s.slot_s * slack,
            'c': np.zeros(start_s.shape, dtype=bool),  # a negative CPU is an error
            'd': np.broadcast_to(given_hz > s.satellite.cpu_hz * slack, start_s.shape),
            'e': decision.power_w > s.uavs.largest_power_w * slack,
            'f': finish_s > start_s + TOLERANCE * s.slot_s,
            'g': collected_bit > free_bit + rounding_bit,
            'h': uploaded_bit > state.stored_bit + collected_bit + rounding_bit,
        }


def take(state: MaritimeState, copies: IntArray | slice) -> MaritimeState:
    """The state of some copies."""
    parts = {
        field.name: getattr(state, field.name)[copies]
        for field in fields(state)
        if field.name != 'devices'
    }
    own = {
        field.name: getattr(state.devices, field.name)[copies]
        for field in fields(state.devices)
        if field.name != 'sensitive'
    }
    return MaritimeState(devices=replace(state.devices, **own), **parts)


def _check(state: MaritimeState, decision: MaritimeDecision) -> None:
    for field in fields(decision):
        value = np.asarray(getattr(decision, field.name))
        if value.shape != state.batch_bit.shape:
            raise ValueError(
                f'{field.name} has shape {value.shape}, but must be one number a UAV, '
                f'{state.batch_bit.shape}'
            )
        if not (np.isfinite(value) & (value >= 0)).all():
            bad = value[~(np.isfinite(value) & (value >= 0))][0]
            raise ValueError(f'{field.name} holds {bad}; decide finite numbers >= 0')
