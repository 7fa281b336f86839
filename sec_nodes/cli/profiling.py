"""What `sec models profile` measures, shows and adds to a platform's profile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import onnx
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sec_nodes.config import ConfigError
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.evaluation import sea_items
from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.manifest import MllmEntry, default_models_dir, load_manifest
from sec_nodes.inference.power import NoMeter, PowerMeter, Reading, find_meter
from sec_nodes.inference.profiles import (
    GenerationEntry,
    PlatformProfile,
    Positive,
    SplitEntry,
    load_profile,
    write_profile,
)
from sec_nodes.inference.profiling import describe_platform, measure_generation, measure_split
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.paths import config_dir

_BATCHES = (1, 2, 4, 8)
_NO_POWER = (
    'no sensor of this machine tells its power; say what it draws while it computes with --power-w'
)


@dataclass(frozen=True)
class Order:
    """What is to be measured, and where the figures go.

    `platform` is the name of a profile or a YAML file, None to print only; `power_w` is what the
    machine draws while it computes, for a new profile of a machine without a sensor.
    """

    model: str
    models_dir: Path | None
    platform: str | None
    power_w: float | None
    policy: DevicePolicy
    reps: int


class _Remembering:
    """A meter that keeps its readings, for the mean power of them all."""

    def __init__(self, meter: PowerMeter) -> None:
        self._meter = meter
        self._readings: list[Reading] = []

    @contextmanager
    def measure(self) -> Iterator[Reading]:
        """As the meter itself."""
        with self._meter.measure() as reading:
            self._readings.append(reading)
            yield reading

    def power(self) -> Positive | None:
        """Mean over all that was metered; None where nothing was."""
        metered = [one for one in self._readings if one.energy_j and one.duration_s > 0]
        if not metered:
            return None
        energy_j = sum(one.energy_j or 0.0 for one in metered)
        power_w = round(energy_j / sum(one.duration_s for one in metered), 3)
        return Positive(value=power_w, source='measured', origin=metered[0].source)


def profile_model(order: Order, console: Console) -> None:
    """Measure a model, show the figures and keep them where a platform is named.

    Raises:
        ConfigError: the figures could not be kept; told before anything is measured.
    """
    meter = find_meter()
    there = _check_keeping(order, has_sensor=not isinstance(meter, NoMeter))
    remembering = _Remembering(meter)
    entry: GenerationEntry | SplitEntry
    graph = _graph(order)
    if graph is not None:
        entry = _profile_network(order, graph, remembering)
        console.print(_split_table(entry))
    else:
        entry = _profile_language(order, remembering)
        console.print(_generation_table(entry))
    if order.platform is not None:
        profile = there or describe_platform(
            _profile_path(order.platform).stem,
            'measured with sec models profile',
            provider=entry.provider,
            compute_power_w=_power(remembering.power(), order),
        )
        console.print(f'written: {_keep(entry, profile, order.platform)}', highlight=False)


def _graph(order: Order) -> Path | None:
    """The graph that is to be cut; None where a model is to be asked."""
    path = Path(order.model)
    if path.suffix == '.onnx':
        return path
    if (path / 'model.onnx').is_file():
        return path / 'model.onnx'
    if path.is_dir() or ':' in order.model or '/' in order.model:
        return None
    folder = order.models_dir or default_models_dir()
    entry = load_manifest(folder).entry(order.model)
    return None if isinstance(entry, MllmEntry) else folder / entry.files[0].path


def _profile_network(order: Order, graph: Path, meter: PowerMeter) -> SplitEntry:
    import numpy as np

    folder = Path(order.model)
    model = graph if folder.is_dir() else order.model
    network = SplitModel.load(model, models_dir=order.models_dir, policy=order.policy)
    first = network.cuts[0]
    image = np.random.default_rng(0).integers(0, 255, first.shape).astype(first.dtype)
    entry = measure_split(
        network, meter, quantisation=_quantisation(graph), image=image, reps=order.reps
    )
    # a graph of that name says nothing: whoever built or converted it called the folder
    return entry.model_copy(update={'model': folder.resolve().name}) if folder.is_dir() else entry


def _quantisation(graph: Path) -> str:
    """What a graph computes with, by its operators and weights."""
    content = onnx.load(graph, load_external_data=False).graph
    if any('QuantizeLinear' in node.op_type for node in content.node):
        return 'int8'
    halves = any(t.data_type == onnx.TensorProto.FLOAT16 for t in content.initializer)
    return 'fp16' if halves else 'fp32'


def _profile_language(order: Order, meter: PowerMeter) -> GenerationEntry:
    model = LanguageModel.load(order.model, models_dir=order.models_dir, policy=order.policy)
    questions = [Question(item.prompt, item.image) for item in sea_items(2)]
    quantisation, scale = model.id.rpartition('-')[2], '-'
    if model.accuracy is not None:  # only an entry of the manifest has one
        known = load_manifest(order.models_dir or default_models_dir()).mllm(model.id)
        quantisation = known.quantisation
        scale = known.accuracy.set if known.accuracy else scale
    return measure_generation(
        model, questions, meter, quantisation=quantisation, scale=scale, batches=_BATCHES
    )


def _profile_path(platform: str) -> Path:
    path = Path(platform)
    return path if path.suffix == '.yaml' else config_dir() / 'profiles' / f'{platform}.yaml'


def _check_keeping(order: Order, *, has_sensor: bool) -> PlatformProfile | None:
    """The profile that gets the figures, None if it is yet to be made or none is named."""
    if order.platform is None:
        if order.power_w is not None:
            raise ConfigError('--power-w is kept in a profile; name one with --platform')
        return None
    path = _profile_path(order.platform)
    if not path.is_file():
        if not has_sensor and order.power_w is None:
            raise ConfigError(_NO_POWER)
        return None
    profile = load_profile(str(path))
    if profile.source != 'measured':
        raise ConfigError(
            f'profile {profile.id!r} is {profile.source}: what is measured here would pass for '
            'that; name a profile of this machine with --platform'
        )
    if order.power_w is not None:
        raise ConfigError(
            f'profile {profile.id!r} says already that it draws {profile.compute_power_w.value:g} '
            f'W; leave out --power-w, or change compute_power_w in {path}'
        )
    return profile


def _keep(entry: GenerationEntry | SplitEntry, profile: PlatformProfile, platform: str) -> Path:
    """Write the entry into the platform's profile."""
    path = _profile_path(platform)
    field = 'split' if isinstance(entry, SplitEntry) else 'generation'
    entries = dict(getattr(profile, field)) | {entry.model: entry}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_profile(profile.model_copy(update={field: entries}), path)
    return path


def _power(metered: Positive | None, order: Order) -> Positive:
    """Power while computing: what the user says, else what the sensor gave."""
    if order.power_w is not None:
        return Positive(value=order.power_w, source='estimated', origin='given by the user')
    if metered is None:
        raise ConfigError(_NO_POWER)
    return metered


def _split_table(entry: SplitEntry) -> Table:
    columns = (
        'cut',
        'tensor',
        'front MFLOP',
        'front ms',
        'p95',
        'back ms',
        'p95',
        'front J',
        'back J',
    )
    table = _table(f'{entry.model} on {entry.provider}; {entry.origin}', columns)
    for number, cut in enumerate(entry.cuts):
        times = (cut.front_p50_s, cut.front_p95_s, cut.back_p50_s, cut.back_p95_s)
        energies = (
            '-' if value is None else f'{value:.3g}' for value in (cut.front_j, cut.back_j)
        )
        table.add_row(
            str(number),
            Text(cut.tensor),
            f'{cut.front_flop / 1e6:.2f}',
            *(f'{1e3 * value:.3f}' for value in times),
            *energies,
        )
    return table


def _generation_table(entry: GenerationEntry) -> Table:
    table = _table(f'{entry.model} on {entry.provider}', ('measured', 'value'))
    numbers = {
        'picture and text before it [ms]': (entry.prefix_s, 1e3),
        'first token, picture included [ms]': (entry.first_token_s, 1e3),
        'every further token [ms]': (entry.token_s, 1e3),
        'power [W]': (entry.power_w, 1.0),
        'energy of a token [mJ]': (entry.token_j, 1e3),
        'memory [MiB]': (entry.peak_byte, 2.0**-20),
    }
    for name, (number, factor) in numbers.items():
        value = 'not measured: no sensor' if number is None else f'{number.value * factor:.3f}'
        table.add_row(Text(name), value)
    for batch, rate in entry.batch_tokens_per_s.items():
        table.add_row(f'tokens/s, batch {batch}', f'{rate.value:.0f}')
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(box=box.SIMPLE, title=title, title_justify='left')
    for column in columns:
        table.add_column(Text(column))
    return table
