"""`sec models`: what there is, and how to make, convert, time and examine models."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sec_nodes.cli.training_environment import ROOT, go_on_there, has_libraries
from sec_nodes.config import ConfigError

if TYPE_CHECKING:
    from sec_nodes.inference.evaluation import Scores
    from sec_nodes.inference.language.model import LanguageModel

MODELS = typer.Typer(
    help='Models: what there is, and how to make, convert, time and examine them.',
    no_args_is_help=True,
)
_TRAINING = ('torch', 'transformers', 'onnxscript')
BUILT = Path('build/models')
"""Where what is built goes unless told otherwise: beside the shipped models, not among them."""

ModelsDir = Annotated[
    Path | None,
    typer.Option(help='Folder with manifest.yaml. Default: the shipped models.'),
]
Providers = Annotated[
    str, typer.Option(help='tensorrt, cuda, cpu in order of wish. Default: the best that works.')
]
Threads = Annotated[int, typer.Option(min=1, help='Threads of ONNX Runtime.')]
BuildEngines = Annotated[
    bool,
    typer.Option('--build-engines', help='Let TensorRT build engines; that takes minutes.'),
]


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn errors that a user can mend into `error: ...` lines and exit code 2."""
    from sec_nodes.inference.codec import PayloadError
    from sec_nodes.inference.manifest import ModelError

    try:
        yield
    except (ConfigError, ModelError, PayloadError, ValueError) as error:
        for line in str(error).splitlines():
            print(f'error: {line}', file=sys.stderr)
        raise typer.Exit(2) from None


@MODELS.command('list')
def list_models(models_dir: ModelsDir = None) -> None:
    """List the models of a folder, with size, work and accuracy."""
    from sec_nodes.cli.listings import model_table

    with clear_errors():
        Console().print(model_table(models_dir))


@MODELS.command()
def build(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(help='alexnet, vgg13, vgg16, resnet18, vit-tiny; or scene-s, sea-l ...'),
    ],
    models_dir: Annotated[Path, typer.Option(help='Folder that gets model and entry.')] = BUILT,
    seed: Annotated[int, typer.Option(min=0, help='Of random weights.')] = 0,
    width: Annotated[float, typer.Option(help='Channels, relative to the published net.')] = 1.0,
    image_size: Annotated[int, typer.Option(help='Side of the picture [pixel].')] = 224,
    classes: Annotated[int, typer.Option(min=2, help='Number of scores.')] = 1000,
    weights: Annotated[
        Path | None,
        typer.Option(help='.npz or .safetensors with published names. Default: random weights.'),
    ] = None,
) -> None:
    """Write a network from its definition, or train one of the shipped models anew.

    AlexNet, VGG, ResNet-18 and ViT get random weights unless you give some: they can be cut and
    timed, but their answers mean nothing.
    """
    from sec_nodes.inference.networks import NETWORKS

    with clear_errors():
        trainers = _trainers()
        if name in trainers:
            _refuse_network_options(name, context)
            go_on_there(_TRAINING, [*trainers[name], '--models-dir', str(models_dir)])
        elif name in NETWORKS:
            _build_network(name, models_dir, seed, width, image_size, classes, weights)
        else:
            known = ', '.join([*NETWORKS, *trainers])
            raise ConfigError(f'unknown model {name!r}; choose from {known}')


def _refuse_network_options(name: str, context: typer.Context) -> None:
    """ConfigError if an option was given that a trained model does not have."""
    for option in ('seed', 'width', 'image_size', 'classes', 'weights'):
        source = context.get_parameter_source(option)
        if source is not None and source.name != 'DEFAULT':
            raise ConfigError(
                f'--{option.replace("_", "-")} is for networks that are built untrained; {name} '
                'is trained by its recipe: leave it out'
            )


def _build_network(
    name: str,
    models_dir: Path,
    seed: int,
    width: float,
    image_size: int,
    classes: int,
    weights: Path | None,
) -> None:
    """Write model.onnx and its entry."""
    import onnx

    from sec_nodes.inference.networks import build_network
    from sec_nodes.inference.zoo import network_entry, save_entry

    model = build_network(
        name, seed=seed, width=width, image_size=image_size, classes=classes, weights=weights
    )
    path = models_dir / name / 'model.onnx'
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    origin = f'weights of {weights.name}' if weights else f'random weights, seed {seed}'
    task = f'{name}, {image_size} pixel, width {width:g}, {classes} classes; {origin}'
    entry = network_entry(models_dir, path, task, f'sec models build {name}')
    save_entry(models_dir, entry)
    size = path.stat().st_size / 2**20
    print(f'{path}: {entry.parameters:,} parameters, {size:.0f} MiB, {len(entry.cuts)} cuts')
    if not weights:
        print('its weights are random: it can be cut and timed, but its answers mean nothing')
    _say_how_to_use(models_dir, [name], 'profile')


def _say_how_to_use(models_dir: Path, models: list[str], *verbs: str) -> None:
    for verb in verbs:
        for model in models:
            print(f'  sec models {verb} {model} --models-dir {models_dir}')
    print(f'every other command finds it with SEC_MODELS_DIR={models_dir.resolve()}')


@MODELS.command()
def convert(
    source: Annotated[
        str, typer.Argument(help='Hugging Face id, or a folder of save_pretrained.')
    ],
    models_dir: Annotated[Path, typer.Option(help='Folder that gets model and entry.')] = BUILT,
    name: Annotated[
        str | None, typer.Option(help='Id of the model. Default: the last part of the source.')
    ] = None,
    levels: Annotated[
        str, typer.Option(help='Quantisations beside fp32: fp16,int8,q8,q4,q2; empty for none.')
    ] = 'int8,q4',
) -> None:
    """Convert a multimodal LLM or an image classifier to ONNX, and quantise it.

    This needs torch and transformers (`make setup-train`); running what comes out does not.
    """
    from sec_nodes.conversion.quantise_mllm import LEVELS

    with clear_errors():
        for level in _names(levels):
            if level not in LEVELS:
                raise ConfigError(
                    f'level {level!r} in --levels is unknown; choose from {", ".join(LEVELS)} '
                    '(fp32 is always there)'
                )
        if not has_libraries(_TRAINING):
            order = ['-m', 'sec_nodes.cli.main', 'models', 'convert', source]
            order += ['--models-dir', str(models_dir), '--levels', levels]
            order += ['--name', name] if name else []
            go_on_there(_TRAINING, order)
        from sec_nodes.conversion.convert import convert_model

        entries = convert_model(source, models_dir, name, _names(levels), print)
        for entry in entries:
            size = sum(file.bytes for file in entry.files) / 2**20
            print(f'{models_dir}: {entry.id} ({entry.kind}, {size:.1f} MiB)')
        verbs = ('profile', 'eval') if entries[0].kind == 'mllm' else ('profile',)
        _say_how_to_use(models_dir, [entry.id for entry in entries], *verbs)


@MODELS.command()
def profile(
    model: Annotated[str, typer.Argument(help='Id, folder, Hugging Face id, or .onnx file.')],
    models_dir: ModelsDir = None,
    platform: Annotated[
        str | None, typer.Option(help='Add the figures to config/profiles/PLATFORM.yaml.')
    ] = None,
    power_w: Annotated[
        float | None,
        typer.Option(min=0.1, help='Power while computing [W], where no sensor tells.'),
    ] = None,
    providers: Providers = '',
    threads: Threads = 1,
    build_engines: BuildEngines = False,
    reps: Annotated[int, typer.Option(min=3, help='Repetitions; medians are kept.')] = 20,
) -> None:
    """Measure time, memory and (where a sensor is) energy of a model on this machine."""
    from sec_nodes.cli.profiling import Order, profile_model
    from sec_nodes.inference.providers import policy_from

    with clear_errors():
        policy = policy_from(providers, threads, build_engines)
        order = Order(model, models_dir, platform, power_w, policy, reps)
        profile_model(order, Console())


@MODELS.command('eval')
def evaluate_model(
    model: Annotated[str, typer.Argument(help='Id, folder or Hugging Face id of an MLLM.')],
    questions: Annotated[
        str,
        typer.Option('--set', help='sea: the built-in held-out set; or an MMMU-format folder.'),
    ] = 'sea',
    per_kind: Annotated[
        int | None, typer.Option(min=1, help='Questions of each kind of the built-in set.')
    ] = None,
    models_dir: ModelsDir = None,
    save: Annotated[
        bool, typer.Option('--save/--print', help='Write manifest entry and card as well.')
    ] = False,
    platform: Annotated[
        str, typer.Option(help='What this machine is called on the card.')
    ] = 'this machine',
    providers: Providers = '',
    threads: Threads = 1,
    build_engines: BuildEngines = False,
    batch: Annotated[int, typer.Option(min=1, max=64, help='Questions asked at once.')] = 8,
) -> None:
    """Measure how often a model is right, by kind of question, beside the commonest answer."""
    from sec_nodes.cli.examination import find_keeping, save_scores, scores_table, set_items
    from sec_nodes.inference.language import LanguageModel
    from sec_nodes.inference.providers import policy_from

    with clear_errors():
        count, items = set_items(questions, per_kind)
        keeping = find_keeping(model, questions, count, models_dir) if save else None
        policy = policy_from(providers, threads, build_engines)
        loaded = LanguageModel.load(model, models_dir=models_dir, policy=policy, max_batch=batch)
        # before anything is asked in batches: it measures the memory of one question at a time
        speed = None if keeping is None else loaded.profile()
        scores = _ask(loaded, items, count, batch)
        Console().print(scores_table(loaded.id, scores))
        if keeping is not None and speed is not None:
            for path in save_scores(keeping, scores, speed, platform):
                print(f'written: {path}')


def _ask(model: LanguageModel, items: Any, count: int | None, batch: int) -> Scores:
    """Put all questions, with a bar."""
    from sec_nodes.inference.evaluation import evaluate

    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
        task = bar.add_task(f'{model.id} on {model.provider}', total=count)
        return evaluate(
            model, items, batch=batch, on_progress=lambda done: bar.update(task, completed=done)
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(',') if part.strip())


def _trainers() -> dict[str, list[str]]:
    """Commands that train the shipped models, by id; none in an installed copy without tools/."""
    tools = ROOT / 'tools'
    classifiers = ('scene-s', 'scene-l', 'chain-s', 'chain-m', 'chain-l')
    scripts = {
        **dict.fromkeys(classifiers, 'train_scene_classifier.py'),
        **dict.fromkeys(('sea-s', 'sea-l'), 'train_sea_mllm.py'),
    }
    return {
        name: [str(tools / script), '--only', name]
        for name, script in scripts.items()
        if (tools / script).is_file()
    }
