"""The `sec` command: its subcommands, and how errors reach the user."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sec_nodes import __version__
from sec_nodes.cli.models import MODELS
from sec_nodes.config import ConfigError
from sec_nodes.fleet.domain import DomainBusyError

BAD_INPUT = 2
DOMAIN_BUSY = 3

app = typer.Typer(
    help='Satellite edge computing: devices ask, UAVs and satellites answer.',
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={'help_option_names': ['-h', '--help']},
)
app.add_typer(MODELS, name='models')


class Backend(str, Enum):
    """Where radio and motion come from."""

    sim = 'sim'
    hardware = 'hardware'


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn errors that a user can mend into `error: ...` lines and an exit code."""
    try:
        yield
    except DomainBusyError as error:
        _fail(str(error), DOMAIN_BUSY)
    except ConfigError as error:
        _fail(str(error), BAD_INPUT)


def _fail(text: str, code: int) -> None:
    for line in text.splitlines():
        print(f'error: {line}', file=sys.stderr)
    raise typer.Exit(code)


@app.command()
def up(
    fleet: Annotated[str, typer.Argument(help='Fleet by name (laptop), or its YAML file.')],
    controller: Annotated[
        str | None, typer.Option(help='Who decides; `sec controllers` lists them.')
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help='Scenario by name, or its YAML file.')
    ] = None,
    slots: Annotated[int | None, typer.Option(help='Length of the run.')] = None,
    seed: Annotated[int | None, typer.Option(help='Seed of everything random.')] = None,
    speed: Annotated[
        float | None,
        typer.Option(help='Simulated seconds per wall second; 0 = as fast as possible.'),
    ] = None,
    backend: Annotated[
        Backend | None,
        typer.Option(help='Simulated time, or wall time (radio and motion stay emulated).'),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help='Folder of your own pictures.', show_default=False)
    ] = None,
    run: Annotated[
        str | None, typer.Option(help='Name of the run; made from the time otherwise.')
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help='Folder that gets one folder a run.')
    ] = None,
    per_vehicle: Annotated[
        bool | None,
        typer.Option('--per-vehicle/--per-tier', help='One process a vehicle, or one a tier.'),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option('--set', help='Change the scenario: devices.count=20. Repeatable.'),
    ] = None,
    fail: Annotated[
        list[str] | None,
        typer.Option(
            help='Let a server fail: uav_1@20, uav_1@20:kill (crash, link, hang, cut, battery), '
            'uav_1@20-25:cut, a number of UAVs, or random:0.05. Repeatable.'
        ),
    ] = None,
    live: Annotated[
        bool | None,
        typer.Option(
            '--live/--plain', help='Live view, or one line a slot. Default: by terminal.'
        ),
    ] = None,
    report: Annotated[bool, typer.Option(help='Write report.html at the end.')] = True,
    host: Annotated[
        str | None, typer.Option(help='Start the part of this machine, as the fleet names it.')
    ] = None,
) -> None:
    """Fly a fleet and show what happens.

    What is not given is taken from the fleet's file. Results go to results/RUN. Ctrl-C ends the
    run in order, a second Ctrl-C at once.

    Exit codes: 0 finished, 1 aborted, 2 wrong input, 3 ROS domain busy, 130 interrupted.
    """
    from sec_nodes.cli.up import fly
    from sec_nodes.fleet.plan import Request

    request = Request(
        fleet=fleet,
        controller=controller,
        scenario=scenario,
        slots=slots,
        seed=seed,
        speed=speed,
        backend=backend.value if backend else None,
        images=images,
        results=results,
        per_vehicle=per_vehicle,
        run=run,
        host=host,
        settings=settings or [],
        failures=fail or [],
    )
    with clear_errors():
        raise typer.Exit(fly(request, live=live, report=report))


@app.command()
def simulate(
    scenario: Annotated[
        str, typer.Argument(help='Scenario by name, with a mode (mllm:stress), or its YAML file.')
    ],
    controller: Annotated[
        str | None,
        typer.Option(help="Who decides. Default: the scenario's reference.", show_default=False),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(help='Several, a,b,c or all, and the reference beside them.'),
    ] = None,
    slots: Annotated[
        int | None, typer.Option(help='Default: 20, or the whole episode if that is shorter.')
    ] = None,
    episodes: Annotated[int, typer.Option(help='Played at once, each with its own seed.')] = 10,
    seed: Annotated[int, typer.Option(help='Seed of everything random.')] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option('--set', help='Change the scenario: devices.count=20. Repeatable.'),
    ] = None,
    results: Annotated[Path, typer.Option(help='Folder that gets one folder a run.')] = Path(
        'results'
    ),
    run: Annotated[
        str | None, typer.Option(help='Name of the run; made from the time otherwise.')
    ] = None,
) -> None:
    """Play a scenario without ROS, and compare controllers on the same random numbers.

    Exit codes: 0 finished, 2 wrong input.
    """
    from sec_nodes.cli.simulate import Order, carry_out

    order = Order(
        scenario=scenario,
        controller=controller,
        compare=compare,
        slots=slots,
        episodes=episodes,
        seed=seed,
        settings=settings or [],
        results=results,
        run=run,
    )
    with clear_errors():
        carry_out(order, Console())


@app.command()
def train(
    scenario: Annotated[
        str | None,
        typer.Argument(help='Scenario by name, with a mode: mllm:stress.', show_default=False),
    ] = None,
    algo: Annotated[
        str | None,
        typer.Option(help='Algorithm, such as ad_sac; several as a,b,c.', show_default=False),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(help='Runs of each algorithm, from seeds 0, 1 ... Default: 1.'),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help='Slots of each run. Default: 100000, or as many as --minutes allow.'),
    ] = None,
    minutes: Annotated[float | None, typer.Option(help='CPU-minutes of each run.')] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help='Hyper-parameters: default, or another of config/controllers/SCENARIO/ALGO.yaml, '
            'such as flat or paper_table2.'
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option('--set', help='Change a hyper-parameter: gamma=0.9. Repeatable.'),
    ] = None,
    scenario_settings: Annotated[
        list[str] | None,
        typer.Option('--set-scenario', help='Change the scenario: devices.count=20. Repeatable.'),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(help='Go on with a run, by folder or name; --steps makes it longer.'),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help='Runs at a time. Default: one a core.')
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(help='Train on a Ray cluster: address of its head, auto, or local.'),
    ] = None,
    results: Annotated[Path, typer.Option(help='Folder that gets one folder a run.')] = Path(
        'results'
    ),
    run: Annotated[
        str | None, typer.Option(help='Name of the run; made from the time otherwise.')
    ] = None,
) -> None:
    """Train an algorithm on a scenario, one process a seed.

    Needs torch (`make setup-train`); flying what was learnt does not. Ctrl-C ends the episodes
    and leaves checkpoints, a second Ctrl-C ends at once.

    Exit codes: 0 finished, 1 a run failed, 2 wrong input, 130 interrupted.
    """
    from sec_nodes.cli.train import Request, carry_out

    request = Request(
        scenario=scenario,
        algorithms=algo,
        seeds=seeds,
        steps=steps,
        minutes=minutes,
        profile=profile,
        settings=settings or [],
        scenario_settings=scenario_settings or [],
        resume=resume,
        workers=workers,
        ray=ray,
        results=results,
        run=run,
    )
    with clear_errors():
        raise typer.Exit(carry_out(request, Console()))


@app.command()
def reproduce(
    experiment: Annotated[
        str, typer.Argument(help='Whose experiments: mllm, maritime, partial or robust.')
    ],
    figure: Annotated[
        list[str] | None,
        typer.Option(
            help='Number of a figure of the paper, or name of one of ours, such as failures of '
            'robust. Repeatable; default: all.'
        ),
    ] = None,
    table: Annotated[
        list[int] | None,
        typer.Option(help='Number of a table of the paper. Repeatable; default: all.'),
    ] = None,
    quick: Annotated[
        bool, typer.Option('--quick', help='Minutes on two cores: short trainings. The default.')
    ] = False,
    full: Annotated[
        bool, typer.Option('--full', help='As much as one would publish: days where one trains.')
    ] = False,
    results: Annotated[
        Path, typer.Option(help='Folder that gets one folder; what is in it is not done again.')
    ] = Path('results'),
    publish: Annotated[
        bool, typer.Option('--publish', help='Put tables, pictures and page into docs/.')
    ] = False,
) -> None:
    """Carry out the experiments of a paper anew: train, evaluate, draw, and judge its claims.

    mllm and robust need torch (`make setup-train`) as long as there is something to train;
    maritime and partial have nothing to train. Ctrl-C interrupts; the same command goes on.

    Exit codes: 0 finished, 1 a training or evaluation failed, 2 wrong input, 130 interrupted.
    """
    from sec_nodes.cli.reproduce import Order, carry_out

    order = Order(
        experiment=experiment,
        figures=figure or [],
        tables=table or [],
        quick=quick,
        full=full,
        results=results,
        publish=publish,
    )
    with clear_errors():
        raise typer.Exit(carry_out(order, Console()))


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help='Folder of a run, or its name below results/.')],
) -> None:
    """Draw the report of a run again, and print its summary."""
    from sec_nodes.cli.up import show_report

    with clear_errors():
        places = (run, Path('results') / run)
        folder = next((place for place in places if place.is_dir()), None)
        if folder is None:
            raise ConfigError(f'run {run}: no such folder; give one of results/')
        if not show_report(folder, Console()):
            raise typer.Exit(1)


@app.command()
def controllers(
    scenario: Annotated[
        str, typer.Argument(help='For which scenario; `sec scenarios` lists them.')
    ] = 'survey',
) -> None:
    """List the controllers of a scenario."""
    from sec_nodes.cli.listings import controller_table

    with clear_errors():
        Console().print(controller_table(scenario))


@app.command()
def scenarios() -> None:
    """List the scenarios."""
    from sec_nodes.cli.listings import scenario_table

    with clear_errors():
        Console().print(scenario_table())


@app.command()
def fleets() -> None:
    """List the fleets."""
    from sec_nodes.cli.listings import fleet_table

    with clear_errors():
        Console().print(fleet_table())


@app.command()
def params(
    markdown: Annotated[bool, typer.Option(help='Tables for a README.')] = False,
    node: Annotated[str | None, typer.Option(help='Only this node.')] = None,
) -> None:
    """List the ROS parameters of every node."""
    from sec_nodes.cli.parameter_tables import markdown_tables, node_parameters, rich_tables

    with clear_errors():
        tables = node_parameters(node)
        if markdown:
            print(markdown_tables(tables))
        else:
            Console().print(rich_tables(tables))


@app.command()
def version() -> None:
    """Print the version."""
    print(__version__)


def main() -> None:
    """Entry point of the `sec` command."""
    app(prog_name='sec')


if __name__ == '__main__':
    main()
