"""What is written to MCAP can be read by those who have never heard of our messages."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from mcap.reader import make_reader

from sec_nodes.recording.definitions import DefinitionError, full_definition, inner_types
from sec_nodes.recording.mcap_log import McapLog

DEFINITIONS = {
    'demo/msg/Outer': 'std_msgs/Header header  # when\nInner[<=4] parts\nstring<=9 name\n',
    'demo/msg/Inner': 'uint8 ON=1\nfloat64 x  # [m]\nbuiltin_interfaces/Time at\n',
    'std_msgs/msg/Header': 'builtin_interfaces/Time stamp\nstring frame_id\n',
    'builtin_interfaces/msg/Time': 'int32 sec\nuint32 nanosec\n',
}


def test_a_definition_holds_every_type_inside_it_once() -> None:
    text = full_definition('demo/msg/Outer', DEFINITIONS.__getitem__)
    rule = '=' * 80 + '\n'
    first, *others = text.split(rule)
    assert first == DEFINITIONS['demo/msg/Outer']
    assert [part.splitlines()[0] for part in others] == [
        'MSG: std_msgs/Header',
        'MSG: demo/Inner',
        'MSG: builtin_interfaces/Time',
    ]


def test_constants_comments_and_bounds_are_no_types() -> None:
    text = '# Foo bar\nuint8 ON=1\nstring<=5[<=3] names\nfloat64[9] m  # Bar baz\nbool x\n'
    assert inner_types(text, 'demo') == []


def test_own_messages_name_only_types_of_their_package_or_with_package() -> None:
    root = Path(__file__).resolve().parents[3] / 'msg'
    for path in root.glob('*.msg'):
        for name in inner_types(path.read_text(), 'sec_offload'):
            package, _, short = name.split('/')
            assert package != 'sec_offload' or (root / f'{short}.msg').is_file(), (path, name)


def test_a_missing_definition_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    with pytest.raises(DefinitionError, match=f'demo/msg/Outer in AMENT_PREFIX_PATH .{tmp_path}'):
        full_definition('demo/msg/Outer')


def test_definitions_are_found_in_the_ament_prefix(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, text in DEFINITIONS.items():
        path = tmp_path / 'second' / 'share' / f'{name}.msg'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setenv('AMENT_PREFIX_PATH', f'{tmp_path / "first"}:{tmp_path / "second"}')
    assert 'MSG: demo/Inner' in full_definition('demo/msg/Outer')


def test_messages_come_back_as_they_went_in(tmp_path: Path) -> None:
    path = tmp_path / 'run.mcap'
    time_definition = DEFINITIONS['builtin_interfaces/msg/Time']
    with McapLog(path) as log:
        times = log.channel('/time', 'builtin_interfaces/msg/Time', time_definition)
        again = log.channel('/other', 'builtin_interfaces/msg/Time', time_definition)
        for number in range(3000):
            data = b'\x00\x01\x00\x00' + struct.pack('<iI', number, 7)
            log.write(times, data, log_ns=number * 10**6, publish_ns=number)
        log.write(again, b'\x00\x01\x00\x00' + bytes(8), log_ns=1, publish_ns=1)
        assert log.messages == 3001
    with path.open('rb') as stream:
        reader = make_reader(stream)
        assert reader.get_header().profile == 'ros2'
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        assert summary.statistics.message_count == 3001
        assert len(summary.schemas) == 1
        found = list(reader.iter_messages(topics=['/time']))
    schema, channel, message = found[5]
    assert (schema.name, schema.encoding) == ('builtin_interfaces/msg/Time', 'ros2msg')
    assert schema.data.decode() == time_definition
    assert channel.message_encoding == 'cdr'
    assert (message.log_time, message.publish_time, message.sequence) == (5_000_000, 5, 5)
    assert struct.unpack_from('<iI', message.data, 4) == (5, 7)


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    log = McapLog(tmp_path / 'run.mcap')
    log.close()
    log.close()
