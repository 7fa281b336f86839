"""What happened in a run: numbers, a terminal table, and figures. Reads a run's tables only.

The recorder sums up its run with this package, so drawing libraries are imported when drawn with.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sec_nodes.report.load import ReportError
from sec_nodes.report.summary import summarise

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ['ReportError', 'build', 'summarise', 'summary_table']


def build(run_dir: Path | str) -> Path:
    """Write report.html and report.png into the folder of a run.

    Args:
        run_dir: the folder.

    Returns:
        Path of report.html.

    Raises:
        ReportError: it is not the folder of a run.
    """
    from sec_nodes.report.page import write_report

    return write_report(Path(run_dir))


def summary_table(run_dir: Path | str) -> RenderableType:
    """What happened in a run, to be printed with rich in 80 columns.

    Args:
        run_dir: folder of the run.

    Raises:
        ReportError: it is not the folder of a run.
    """
    from sec_nodes.report.terminal import summary_panel

    return summary_panel(Path(run_dir))
