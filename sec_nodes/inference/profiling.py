"""Measure models on this machine, for its profile."""

from __future__ import annotations

import datetime
import platform
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import floor, log10
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import psutil

from sec_nodes.inference.power import PowerMeter, Reading, power_mode
from sec_nodes.inference.profiles import (
    Accuracy,
    CutTiming,
    GenerationEntry,
    Number,
    PlatformProfile,
    Positive,
    Scale,
    SplitEntry,
)

if TYPE_CHECKING:  # whoever has a model has loaded these, and a profile is written without
    from sec_nodes.inference.engine import SplitModel
    from sec_nodes.inference.language import LanguageModel, Question

NumberT = TypeVar('NumberT', bound=Number)


def describe_platform(
    platform_id: str, description: str, *, provider: str, compute_power_w: Positive
) -> PlatformProfile:
    """This machine's profile without any entries.

    Args:
        platform_id: name of its file.
        description: what a reader should know of it.
        provider: what models run on, `sec_nodes.inference.providers.PROVIDERS`.
        compute_power_w: drawn while a model runs, where an entry has no `power_w` of its own.
    """
    return PlatformProfile(
        id=platform_id,
        description=description,
        source='measured',
        date=datetime.datetime.now(datetime.timezone.utc).date(),
        power_mode=power_mode(),
        processor=_processor(),
        provider=provider,
        memory_byte=Positive(value=psutil.virtual_memory().total, source='measured'),
        compute_power_w=compute_power_w,
    )


def measure_generation(
    model: LanguageModel,
    questions: Sequence[Question],
    meter: PowerMeter,
    *,
    quantisation: str,
    scale: Scale,
    batches: Sequence[int] = (1,),
) -> GenerationEntry:
    """Times of a model with questions one at a time, its throughput in batches, and its energy.

    Args:
        model: loaded.
        questions: what it answers, one after the other, while its energy is measured.
        meter: `power.find_meter()`; where it measures nothing, the entry has no energy.
        quantisation: of its weights, for the reader.
        scale: what its accuracy is a share of.
        batches: sizes for the throughput; those beyond the model's `max_batch` are left out.
    """
    times = {
        batch: model.profile(batch) for batch in sorted({1, *batches}) if batch <= model.max_batch
    }
    alone = times[1]
    with meter.measure() as reading:
        tokens = sum(
            len(answer.token_ids)
            for question in questions
            for answer in model.generate([question])
        )
    accuracy = None
    if model.accuracy is not None:
        accuracy = Accuracy(
            value=model.accuracy, scale=scale, source='measured', origin='models/manifest.yaml'
        )
    return GenerationEntry(
        model=model.id,
        quantisation=quantisation,
        provider=model.provider,
        prefix_s=_measured(Number, alone.prefix_s),
        first_token_s=_measured(Positive, alone.prefix_s + alone.first_token_s),
        token_s=_measured(Positive, 1 / alone.tokens_per_s),
        power_w=_metered(reading, reading.power_w),
        token_j=_metered(reading, reading.energy_j, tokens),
        batch_tokens_per_s={
            batch: _measured(Positive, of_batch.tokens_per_s) for batch, of_batch in times.items()
        },
        peak_byte=_measured(Positive, max(alone.peak_byte, 1)),
        accuracy=accuracy,
    )


def measure_split(
    model: SplitModel,
    meter: PowerMeter,
    *,
    quantisation: str,
    image: Any,
    reps: int = 20,
) -> SplitEntry:
    """Time and energy on either side of every cut of a network, as if both ran here.

    Args:
        model: loaded.
        meter: `power.find_meter()`; where it measures nothing, the entry has no energy.
        quantisation: of its weights, for the reader.
        image: a picture that the model takes.
        reps: runs of each side.
    """
    if reps < 1:
        raise ValueError(f'reps is {reps}; give at least 1')
    cuts, origin = [], ''
    for number, cut in enumerate(model.cuts):
        tensor = model.run_front(number, image)
        front_s, front = _runs(partial(model.run_front, number, image), meter, reps)
        back_s, back = _runs(partial(model.run_back, number, tensor), meter, reps)
        origin = f'{reps} runs of each side; energy: {back.source}'
        cuts.append(
            CutTiming(
                tensor=cut.tensor,
                front_flop=cut.front_flop,
                back_flop=cut.back_flop,
                front_p50_s=_rounded(np.percentile(front_s, 50)),
                front_p95_s=_rounded(np.percentile(front_s, 95)),
                back_p50_s=_rounded(np.percentile(back_s, 50)),
                back_p95_s=_rounded(np.percentile(back_s, 95)),
                front_j=None if front.energy_j is None else _rounded(front.energy_j / reps),
                back_j=None if back.energy_j is None else _rounded(back.energy_j / reps),
            )
        )
    return SplitEntry(
        model=model.id,
        quantisation=quantisation,
        provider=model.provider,
        source='measured',
        origin=origin,
        cuts=tuple(cuts),
    )


def _processor() -> str:
    """The board's name on a Jetson, else the processor's, and how many cores there are."""
    board, cores = Path('/proc/device-tree/model'), Path('/proc/cpuinfo')
    if board.exists():
        name = board.read_text(encoding='utf-8').strip('\0\n')
    else:
        text = cores.read_text(encoding='utf-8') if cores.exists() else ''
        found = re.search(r'^model name\s*:\s*(.+)$', text, re.MULTILINE)
        name = found.group(1) if found else platform.machine()
    return f'{name}, {psutil.cpu_count()} cores'


def _runs(run: Callable[[], Any], meter: PowerMeter, reps: int) -> tuple[list[float], Reading]:
    """Time of each run [s] after one to warm up, and the energy of all of them."""
    run()
    spent_s = []
    with meter.measure() as reading:
        for _ in range(reps):
            began_s = time.perf_counter()
            run()
            spent_s.append(time.perf_counter() - began_s)
    return spent_s, reading


def _measured(kind: type[NumberT], value: float, origin: str = '') -> NumberT:
    return kind(value=_rounded(value), source='measured', origin=origin)


def _metered(reading: Reading, value: float | None, parts: int = 1) -> Positive | None:
    """A share of what a meter gave; None if it gave nothing."""
    if not value or not parts:
        return None
    return _measured(Positive, value / parts, reading.source)


def _rounded(value: float, digits: int = 4) -> float:
    """Significant digits: what a measurement is good for, and no more."""
    if value == 0:
        return 0.0
    return round(float(value), digits - 1 - floor(log10(abs(value))))
