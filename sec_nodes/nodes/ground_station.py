"""Node `ground_station`: receives what satellites bring, checks it, and says what has arrived."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sec_nodes.loop.deliveries import GROUND_STATION, Arrival, Deliveries
from sec_nodes.loop.handover import bits_of
from sec_nodes.loop.store import FileStore, StoreError
from sec_nodes.nodes import names
from sec_nodes.nodes.base import CommonParameters, SecNode, is_matched, run
from sec_nodes.nodes.clock import to_stamp
from sec_nodes.nodes.data_messages import check_batch, take_in
from sec_nodes.nodes.parameters import ParameterError, parameter
from sec_nodes.scenarios.maritime.settings import MaritimeSettings
from sec_nodes.scenarios.registry import has_storage, read_flown
from sec_offload import msg

DELIVERIES_FILE = 'deliveries.sqlite'
LOOK_S = 0.1
"""Wall time between looks at who is connected [s]."""


@dataclass(frozen=True)
class Parameters(CommonParameters):
    """Parameters of the node `ground_station`."""

    scenario: str = parameter('maritime', 'scenario by name, or its YAML file')
    store_dir: str = parameter('', 'folder of stores on disk; files lie in ground_station below')


class GroundStation(SecNode):
    """The end of the way: files stay here, and each is announced once."""

    def __init__(self) -> None:
        super().__init__(GROUND_STATION, Parameters)
        self.chosen: Parameters = self.settings_of_run
        self.settings = settings_of(self.chosen.scenario)
        self.store, self.deliveries = opened(self.chosen.store_dir)
        self.is_ready = False
        self.receipts = self.advertise(names.DATA_RECEIPT)
        self.announcements = self.advertise(names.DELIVERY)
        self.ready = self.advertise(names.READY)
        self.data = self.listen(names.VEHICLE_DATA.of(GROUND_STATION), self.on_batch)
        self.create_wall_timer(LOOK_S, self.look)
        self.get_logger().info(f'{self.deliveries.count()} files in {self.store.folder}')

    def health(self) -> dict[str, object]:
        """What has arrived."""
        return {
            'files': self.deliveries.count(),
            'bytes': self.store.held_byte,
            'not announced': len(self.deliveries.unannounced()),
        }

    def close(self) -> None:
        """Let another process use the store."""
        self.store.close()
        self.deliveries.close()

    def look(self) -> None:
        """Say once that nothing will be missed, and announce what nobody could hear before."""
        if not self.is_ready and self.wired(self.data, self.receipts):
            self.is_ready = True
            self.ready.publish(names.READY.type(data=self.get_name()))
        self.announce()

    def on_batch(self, batch: msg.DataBatch) -> None:
        """Store parts of files; the receipt leaves once their arrival is on record."""
        check_batch(batch, GROUND_STATION)
        receipt = take_in(batch, self.store, lambda why: self.complain('data refused', why))
        for file_id in receipt.file_id:
            holding = self.store.holding(file_id)
            if holding is not None and holding.is_whole:
                self.deliveries.note(Arrival(file_id, batch.slot, batch.sender, batch.ready_s))
        self.announce()
        self.receipts.publish(receipt)

    def announce(self) -> None:
        """Say which files have arrived, as soon as somebody can hear it.

        Whether it was said is written down afterwards: a process that is killed in between says
        it again, rather than never.
        """
        if not is_matched(self, self.announcements):
            return
        for arrival in self.deliveries.unannounced():
            self.announcements.publish(self.delivery(arrival))
            self.deliveries.announced(arrival.file_id)

    def delivery(self, arrival: Arrival) -> msg.Delivery:
        """The news that a file has arrived."""
        holding = self.store.holding(arrival.file_id)
        assert holding is not None, arrival.file_id
        message = msg.Delivery(
            file_id=arrival.file_id,
            device_id=holding.device_id,
            created_slot=holding.created_slot,
            slot=arrival.slot,
            satellite=arrival.satellite,
            size_byte=holding.size_byte,
            size_bit=bits_of(self.settings, holding.size_byte),
            sha256=holding.sha256,
        )
        message.header.stamp = to_stamp(arrival.ready_s)
        return message


def settings_of(scenario: str) -> MaritimeSettings:
    """A scenario with a ground station.

    Raises:
        ConfigError: there is no such scenario.
        ParameterError: it has no ground station.
    """
    settings: Any = read_flown(scenario)
    if not has_storage(settings):
        raise ParameterError(
            f'parameter scenario = {scenario!r}: has no ground station; fly maritime'
        )
    found: MaritimeSettings = settings
    return found


def opened(store_dir: str) -> tuple[FileStore, Deliveries]:
    """The files that have arrived, and the record of their arrival.

    Raises:
        ParameterError: the folder is not named, or cannot be used.
    """
    if not store_dir:
        raise ParameterError("parameter store_dir = '': must name a folder, e.g. results/stores")
    folder = Path(store_dir) / GROUND_STATION
    try:
        return FileStore(folder), Deliveries(folder / DELIVERIES_FILE)
    except (StoreError, sqlite3.Error) as error:
        raise ParameterError(f'parameter store_dir = {store_dir!r}: {error}') from None


def main(args: list[str] | None = None) -> None:
    """Run the node."""
    run(GroundStation, args)


if __name__ == '__main__':
    main()
