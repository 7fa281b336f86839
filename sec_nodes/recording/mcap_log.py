"""Write messages as they came off the wire to an MCAP file that Foxglove and ros2 bag open."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import TracebackType

from mcap.well_known import MessageEncoding, Profile, SchemaEncoding
from mcap.writer import CompressionType, Writer

from sec_nodes import __version__


class McapLog:
    """An MCAP file that is being written; serialised messages go in unchanged."""

    def __init__(self, path: Path) -> None:
        """Create the file.

        Raises:
            OSError: it cannot be written.
        """
        self._stream = path.open('wb')
        # mcap itself depends on zstandard, so compression costs no further package.
        self._writer = Writer(self._stream, compression=CompressionType.ZSTD)
        self._writer.start(profile=Profile.ROS2, library=f'sec_offload {__version__}')
        self._schemas: dict[str, int] = {}
        self._written: Counter[int] = Counter()

    def channel(self, topic: str, type_name: str, definition: str) -> int:
        """Announce a topic.

        Args:
            topic: its full name.
            type_name: `package/msg/Name`.
            definition: the definitions of the type and of all types inside it.

        Returns:
            Number of the channel, for `write`.
        """
        if type_name not in self._schemas:
            self._schemas[type_name] = self._writer.register_schema(
                name=type_name, encoding=SchemaEncoding.ROS2, data=definition.encode()
            )
        return self._writer.register_channel(
            topic=topic,
            message_encoding=MessageEncoding.CDR,
            schema_id=self._schemas[type_name],
        )

    def write(self, channel: int, data: bytes, log_ns: int, publish_ns: int) -> None:
        """Append a message.

        Args:
            channel: number that `channel` gave.
            data: the serialised message.
            log_ns: simulation time at which it was received [ns].
            publish_ns: simulation time at which it was published [ns].

        Raises:
            OSError: e.g. the disk is full.
        """
        self._writer.add_message(
            channel_id=channel,
            log_time=log_ns,
            publish_time=publish_ns,
            data=data,
            sequence=self._written[channel],
        )
        self._written[channel] += 1

    @property
    def messages(self) -> int:
        """How many messages have been written."""
        return sum(self._written.values())

    def close(self) -> None:
        """Write index and footer, without which a file must be repaired before it opens."""
        if not self._stream.closed:
            try:
                self._writer.finish()
            finally:
                self._stream.close()

    def __enter__(self) -> McapLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
