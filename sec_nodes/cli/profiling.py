"""What `sec models profile` measures, shows and adds to a platform's profile."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sec_nodes.config import ConfigError
from sec_nodes.inference.engine import SplitModel
from sec_nodes.inference.evaluation import sea_items
from sec_nodes.inference.language import LanguageModel, Question
from sec_nodes.inference.manifest import MllmEntry, default_models_dir, load_manifest
from sec_nodes.inference.power import PowerMeter, find_meter
from sec_nodes.inference.profiles import (
    GenerationEntry,
    Positive,
    Scale,
    SplitEntry,
    load_profile,
    write_profile,
)
from sec_nodes.inference.profiling import describe_platform, measure_generation, measure_split
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.paths import config_dir

_BATCHES = (1, 2, 4, 8)


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


def profile_model(order: Order, console: Console) -> None:
    """Measure a model, show the figures and keep them where a platform is named."""
    meter = find_meter()
    entry: GenerationEntry | SplitEntry
    if _is_network(order):
        entry = _profile_network(order, meter)
        console.print(_split_table(entry))
    else:
        entry = _profile_language(order, meter)
        console.print(_generation_table(entry))
    if order.platform is not None:
        console.print(f'written: {_keep(entry, order)}', highlight=False)


def _is_network(order: Order) -> bool:
    """Whether a graph is to be cut, or a model asked."""
    if order.model.endswith('.onnx'):
        return True
    if Path(order.model.partition(':')[0]).is_dir() or '/' in order.model:
        return False
    manifest = load_manifest(order.models_dir or default_models_dir())
    return not isinstance(manifest.entry(order.model), MllmEntry)


def _profile_network(order: Order, meter: PowerMeter) -> SplitEntry:
    import numpy as np

    network = SplitModel.load(order.model, models_dir=order.models_dir, policy=order.policy)
    first = network.cuts[0]
    image = np.random.default_rng(0).integers(0, 255, first.shape).astype(first.dtype)
    return measure_split(network, meter, quantisation='fp32', image=image, reps=order.reps)


def _profile_language(order: Order, meter: PowerMeter) -> GenerationEntry:
    model = LanguageModel.load(order.model, models_dir=order.models_dir, policy=order.policy)
    questions = [Question(item.prompt, item.image) for item in sea_items(2)]
    scale: Scale = 'sea'
    return measure_generation(
        model,
        questions,
        meter,
        quantisation=model.id.rpartition('-')[2],
        scale=scale,
        batches=_BATCHES,
    )


def _keep(entry: GenerationEntry | SplitEntry, order: Order) -> Path:
    """Write the entry into the platform's profile, which is made if it is not there."""
    platform = str(order.platform)
    path = Path(platform)
    if path.suffix != '.yaml':
        path = config_dir() / 'profiles' / f'{platform}.yaml'
    if path.is_file():
        profile = load_profile(str(path))
    else:
        profile = describe_platform(
            path.stem,
            'measured with sec models profile',
            provider=entry.provider,
            compute_power_w=_power(entry, order),
        )
    field = 'split' if isinstance(entry, SplitEntry) else 'generation'
    entries = dict(getattr(profile, field)) | {entry.model: entry}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_profile(profile.model_copy(update={field: entries}), path)
    return path


def _power(entry: GenerationEntry | SplitEntry, order: Order) -> Positive:
    """Power while computing: what the sensor gave, else what the user says."""
    if order.power_w is not None:
        return Positive(value=order.power_w, source='estimated', origin='given by the user')
    if isinstance(entry, GenerationEntry) and entry.power_w is not None:
        return entry.power_w
    raise ConfigError(
        'no sensor of this machine tells its power; say what it draws while it computes with '
        '--power-w'
    )


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
