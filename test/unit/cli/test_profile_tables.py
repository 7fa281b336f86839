"""The tables of docs/profiles.md are those of config/profiles."""

from sec_nodes.cli.profile_tables import main, tables, with_tables
from sec_nodes.config import known_names
from sec_nodes.inference.profiles import load_profile
from sec_nodes.paths import share_dir

PAGE = share_dir() / 'docs' / 'profiles.md'


def test_the_page_holds_what_ships():
    page = PAGE.read_text(encoding='utf-8')
    assert page == with_tables(page), 'call `python -m sec_nodes.cli.profile_tables`'


def test_every_model_and_every_source_is_shown():
    text = tables()
    for name in known_names('profile'):
        profile = load_profile(name)
        section = text.partition(f'### {name}: {profile.source}\n')[2].partition('\n### ')[0]
        rows = {
            line.split('`')[1]: line for line in section.splitlines() if line.startswith('| `')
        }
        assert rows.keys() == {*profile.generation, *profile.split}
        for model, entry in profile.generation.items():
            assert f'{1 / entry.token_s.value:.3g} {entry.token_s.source} |' in rows[model]
            if entry.accuracy is not None:
                shown = f'{entry.accuracy.scale} {entry.accuracy.value:.3g} '
                assert f'| {shown}{entry.accuracy.source} |' in rows[model]


def test_only_what_lies_between_the_markers_is_written(tmp_path):
    old = PAGE.read_text(encoding='utf-8')
    page = tmp_path / 'profiles.md'
    page.write_text(old.replace('### orin_nx', '### of long ago'), encoding='utf-8')
    main(page)
    assert page.read_text(encoding='utf-8') == old
