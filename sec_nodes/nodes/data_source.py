"""What devices have recorded: handed over when their UAV has room, kept until it says so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from sec_nodes.loop.handover import BATCH_BYTE, whole_bytes
from sec_nodes.loop.recorded import contents, file_name
from sec_nodes.loop.store import Segment
from sec_nodes.nodes import names
from sec_nodes.nodes.base import BadMessageError, SecNode
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.data_messages import segment_message
from sec_nodes.nodes.timing import Releases
from sec_nodes.nodes.vector_messages import are_finite
from sec_nodes.world import World
from sec_offload import msg


class DataSource:
    """The recordings of the devices of one process.

    Args:
        node: the device node.
        world: the system of the run.
        ids: the devices.
        releases: keeps messages until they leave.
    """

    def __init__(
        self, node: SecNode, world: World, ids: Iterable[int], releases: Releases
    ) -> None:
        self._node, self._releases = node, releases
        self._settings, self._server_name = world.settings, world.scenario.server_name
        self._ids = frozenset(int(device) for device in ids)
        self._kept: dict[str, dict[str, Segment]] = defaultdict(dict)
        """Whole files by UAV, until it has them; the oldest first."""
        self._parcels = node.advertise(names.DATA_TX)
        self.lifelines = (
            self._parcels,
            node.listen(names.DATA_GRANT, self.on_grant),
            node.listen(names.DATA_RECEIPT, self.on_receipt),
        )

    @property
    def waiting(self) -> int:
        """Files that no UAV has confirmed."""
        return sum(map(len, self._kept.values()))

    def on_grant(self, grant: msg.DataGrant) -> None:
        """Record what a UAV has room for, and hand it over with what it has not confirmed.

        Raises:
            BadMessageError: the grant makes no sense.
        """
        self._check(grant)
        granted = [
            (device, size_byte)
            for device, size_byte in zip(grant.device_id, grant.size_byte, strict=True)
            if device in self._ids
        ]
        if not granted:
            return
        receiver = self._server_name(grant.server_id)
        kept = self._kept[receiver]
        for device, size_byte in granted:
            data = contents(self._node.settings_of_run.seed, device, grant.slot, size_byte)
            file_id = file_name(device, grant.slot, data)
            kept[file_id] = Segment.whole(file_id, device, grant.slot, data)
        batches = list(_batches(kept.values()))
        for number, segments in enumerate(batches, start=1):
            message = msg.DataBatch(
                slot=grant.slot,
                sender=f'device_{granted[0][0]}',
                receiver=receiver,
                last=number == len(batches),
                segments=[segment_message(segment) for segment in segments],
                ready_s=grant.at_s,
            )
            message.header.stamp = to_stamp(grant.at_s)
            self._releases.at(grant.at_s, partial(self._parcels.publish, message))

    def on_receipt(self, receipt: msg.DataReceipt) -> None:
        """A UAV holds files for good: they are its own now."""
        kept = self._kept.get(receipt.receiver, {})
        if receipt.lost:
            return
        for file_id, held_byte in zip(receipt.file_id, receipt.held_byte, strict=False):
            if file_id in kept and held_byte >= kept[file_id].size_byte:
                del kept[file_id]

    def _check(self, grant: msg.DataGrant) -> None:
        uavs, columns = self._settings.uavs, self._settings.columns
        most_byte = whole_bytes(self._settings, uavs.storage_bit)
        own = range(grant.server_id * columns, (grant.server_id + 1) * columns)
        sound = (
            grant.server_id < uavs.count
            and len(grant.device_id) == len(grant.size_byte)
            and are_finite(grant.at_s)
            and all(device in own for device in grant.device_id)
            and all(0 < size_byte <= most_byte for size_byte in grant.size_byte)
        )
        if not sound:
            raise BadMessageError(
                f'grant of server {grant.server_id} in slot {grant.slot}: devices '
                f'{list(grant.device_id)[:8]}, bytes {list(grant.size_byte)[:8]}, '
                f'at_s = {grant.at_s}'
            )


def _batches(files: Iterable[Segment]) -> Iterator[list[Segment]]:
    """Parts of files, at most `BATCH_BYTE` together in one message."""
    batch: list[Any] = []
    room_byte = BATCH_BYTE
    for whole in files:
        begin = 0
        while begin < whole.size_byte:
            data = whole.data[begin : begin + room_byte]
            batch.append(
                Segment(
                    whole.file_id,
                    whole.device_id,
                    whole.created_slot,
                    whole.size_byte,
                    whole.sha256,
                    begin,
                    data,
                )
            )
            begin += len(data)
            room_byte -= len(data)
            if room_byte == 0:
                yield batch
                batch, room_byte = [], BATCH_BYTE
    if batch:
        yield batch
