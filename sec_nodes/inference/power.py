"""Energy of a run from the power sensors of the board, or the plain statement that there is none.

Jetsons carry INA3221 chips, whose rails the kernel shows as hwmon files; Intel and AMD processors
count the energy of each package (RAPL, "powercap" in the kernel). Where neither can be read the
energy is None, never a guess. What the carrier board, the radio or the fans draw is in no rail.

Sources: "Software-Based Power Consumption Modeling" in the Jetson Linux Developer Guide;
https://docs.kernel.org/hwmon/ina3221.html; https://docs.kernel.org/power/powercap/powercap.html.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

NOT_MEASURED = 'not measured'
SAMPLING_S = 0.05
"""Time between two looks at the rails; the chips themselves average over some milliseconds."""

_INPUT_RAIL = 'VDD_IN'
"""What the whole module draws: Orin Nano and Orin NX."""
_AGX_RAILS = ('VDD_GPU_SOC', 'VDD_CPU_CV', 'VIN_SYS_5V0')
"""Rails of an AGX Orin that do not feed each other."""
_NO_RAIL = ('', 'NC', 'sum of shunt voltages')


@dataclass
class Reading:
    """What a run took; complete when its `with` block ends.

    `energy_j` [J] is None if it was not measured, `source` then says why; `duration_s` [s].
    """

    energy_j: float | None = None
    duration_s: float = 0.0
    source: str = NOT_MEASURED

    @property
    def power_w(self) -> float | None:
        """Mean power [W]; None if it was not measured."""
        if self.energy_j is None or self.duration_s <= 0:
            return None
        return self.energy_j / self.duration_s


class PowerMeter(Protocol):
    """Something that measures the energy of what happens in a `with` block."""

    def measure(self) -> AbstractContextManager[Reading]:
        """Begin; the reading is filled in at the end of the block."""


class NoMeter:
    """Measures nothing and says why.

    Args:
        reason: what is missing.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason

    @contextmanager
    def measure(self) -> Iterator[Reading]:
        """A reading without energy."""
        reading = Reading(source=f'{NOT_MEASURED}: {self._reason}')
        began_s = time.perf_counter()
        try:
            yield reading
        finally:
            reading.duration_s = time.perf_counter() - began_s


@dataclass(frozen=True)
class Rail:
    """A supply that an INA3221 watches: the files of its voltage [mV] and current [mA]."""

    name: str
    voltage: Path
    current: Path

    def power_w(self) -> float:
        """Power now [W]; OSError or ValueError if the sensor does not answer."""
        return int(self.voltage.read_text()) * int(self.current.read_text()) * 1e-6


class RailMeter:
    """Samples rails in a thread and integrates their power by the trapezoidal rule.

    Args:
        rails: supplies that are summed.
        period_s: time between samples [s].
        clock: seconds that pass evenly.
    """

    def __init__(
        self,
        rails: Sequence[Rail],
        *,
        period_s: float = SAMPLING_S,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._rails, self._period_s, self._clock = tuple(rails), period_s, clock
        names = ' + '.join(rail.name for rail in rails)
        whole = ', the whole module' if [rail.name for rail in rails] == [_INPUT_RAIL] else ''
        self.source = f'INA3221 {names}{whole}'

    @contextmanager
    def measure(self) -> Iterator[Reading]:
        """Energy of the rails; None if a sensor fails meanwhile."""
        reading, samples = Reading(), []
        done, failures = threading.Event(), []

        def look() -> None:
            try:
                samples.append((self._clock(), sum(rail.power_w() for rail in self._rails)))
            except (OSError, ValueError) as error:
                failures.append(error)

        def keep_looking() -> None:
            while not done.wait(self._period_s):
                look()

        look()
        sampler = threading.Thread(target=keep_looking, name='power meter', daemon=True)
        began_s = self._clock()
        sampler.start()
        try:
            yield reading
        finally:
            reading.duration_s = self._clock() - began_s
            done.set()
            sampler.join()
            look()
            if failures:
                reading.source = f'{NOT_MEASURED}: {self.source} failed meanwhile ({failures[0]})'
            else:
                # reading the rails takes time too: samples span a little more than the block
                span_s = samples[-1][0] - samples[0][0]
                share = reading.duration_s / span_s if span_s > 0 else 0.0
                reading.energy_j, reading.source = share * trapezoid_j(samples), self.source


def trapezoid_j(samples: Sequence[tuple[float, float]]) -> float:
    """Energy [J] of samples of time [s] and power [W], power taken as linear between them."""
    return sum(
        0.5 * (before_w + after_w) * (after_s - before_s)
        for (before_s, before_w), (after_s, after_w) in pairwise(samples)
    )


@dataclass(frozen=True)
class Counter:
    """A RAPL domain: its name, the file that counts [uJ] and where it wraps to 0 [uJ]."""

    name: str
    energy: Path
    wraps_at_uj: int

    def read_uj(self) -> int:
        """What it shows [uJ]; OSError or ValueError if it does not answer."""
        return int(self.energy.read_text())


class RaplMeter:
    """Reads the packages' energy counters before and after.

    A counter that shows less than before has wrapped once; at 100 W that takes three quarters of
    an hour, and a block that lasts longer than two wraps would be undercounted.

    Args:
        counters: domains that are summed.
    """

    def __init__(self, counters: Sequence[Counter]) -> None:
        self._counters = tuple(counters)
        self.source = f'RAPL {" + ".join(counter.name for counter in counters)}'

    @contextmanager
    def measure(self) -> Iterator[Reading]:
        """Energy of the packages; None if a counter fails."""
        reading = Reading()
        before, began_s = self._read(), time.perf_counter()
        try:
            yield reading
        finally:
            reading.duration_s = time.perf_counter() - began_s
            after = self._read()
            if before is None or after is None:
                reading.source = f'{NOT_MEASURED}: {self.source} failed meanwhile'
            else:
                used_uj = (
                    (end - start) % counter.wraps_at_uj
                    for counter, start, end in zip(self._counters, before, after, strict=True)
                )
                reading.energy_j, reading.source = sum(used_uj) * 1e-6, self.source

    def _read(self) -> list[int] | None:
        try:
            return [counter.read_uj() for counter in self._counters]
        except (OSError, ValueError):
            return None


def find_meter(root: Path = Path('/')) -> PowerMeter:
    """The best meter of this machine: the rails of a Jetson, else RAPL, else one that has none.

    Args:
        root: of the file system, another one for tests.
    """
    rails, rails_missing = _find_rails(root)
    if rails:
        return RailMeter(rails)
    counters, counters_missing = _find_counters(root)
    if counters:
        return RaplMeter(counters)
    return NoMeter(f'{rails_missing}; {counters_missing}')


def power_mode(command: str = 'nvpmodel') -> str | None:
    """The power mode that a Jetson runs in, as `nvpmodel -q` says it; None if it does not."""
    tool = shutil.which(command)
    if tool is None:
        return None
    try:
        answer = subprocess.run([tool, '-q'], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r'NV Power Mode:\s*(\S+)', answer.stdout)
    return found.group(1) if found else None


def _find_rails(root: Path) -> tuple[list[Rail], str]:
    """The rails to sum, or why there is none."""
    folder = root / 'sys/bus/i2c/drivers/ina3221'
    found: dict[str, Rail] = {}
    broken = ''
    for label in sorted(folder.glob('*/hwmon/hwmon*/in*_label')):
        number = label.name[len('in') : -len('_label')]
        current = label.with_name(f'curr{number}_input')
        try:
            name = label.read_text().strip()
            if name in _NO_RAIL or not current.exists():
                continue
            rail = Rail(name, label.with_name(f'in{number}_input'), current)
            rail.power_w()
            found[name] = rail
        except (OSError, ValueError) as error:
            broken = f'INA3221 {label.parent.name} cannot be read ({error})'
    if _INPUT_RAIL in found:
        return [found[_INPUT_RAIL]], ''
    if broken:  # a sum without one of its rails would be too small
        return [], broken
    if set(_AGX_RAILS) <= found.keys():
        return [found[name] for name in _AGX_RAILS], ''
    return list(found.values()), 'no INA3221'


def _find_counters(root: Path) -> tuple[list[Counter], str]:
    """The package counters, or why there is none."""
    counters = []
    for folder in sorted((root / 'sys/class/powercap').glob('intel-rapl:*')):
        try:
            name = (folder / 'name').read_text().strip()
            if not name.startswith('package'):
                continue  # parts of a package, or the platform that holds it
            wraps_at_uj = int((folder / 'max_energy_range_uj').read_text())
            counter = Counter(name, folder / 'energy_uj', wraps_at_uj)
            counter.read_uj()
            counters.append(counter)
        except (OSError, ValueError) as error:
            return [], f'RAPL {folder.name} cannot be read ({error})'
    return counters, 'no RAPL'
