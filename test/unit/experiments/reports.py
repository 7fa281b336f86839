"""What tests of reports have in common."""

import pytest

from sec_nodes.config import ConfigError
from sec_nodes.experiments import reproduction


def write_report(experiment, exhibits, plan, store, folder):
    """Tables and pictures of these figures, and the report; returns the folder."""
    for exhibit in exhibits:
        experiment.write(exhibit, plan, folder, store)
    reproduction.write_report(experiment, plan, folder, store)
    return folder


def assert_holds(folder, stems, *curves):
    """The folder has tables and pictures of these names, these curves, and what sums them up."""
    assert {path.name for path in folder.iterdir()} == {
        *(f'{stem}{end}' for stem in stems for end in ('.csv', '.png')),
        *curves,
        'summary.json',
        'claims.csv',
        'report.md',
    }
    for stem in stems:
        assert (folder / f'{stem}.png').read_bytes().startswith(b'\x89PNG')


def assert_fig4_is_not_enough(experiment, folder, docs, lacks):
    """Fig. 4 of a folder cannot be published without the others."""
    part = docs / 'part'
    part.mkdir()
    (part / 'fig4.csv').write_bytes((folder / 'fig4.csv').read_bytes())
    with pytest.raises(ConfigError, match=lacks):
        reproduction.publish(experiment, part, docs)
