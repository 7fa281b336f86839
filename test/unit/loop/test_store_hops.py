"""Bytes in equal bytes out over three hops, whatever is lost, repeated, cut or restarted."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sec_nodes.loop.recorded import contents
from sec_nodes.loop.store import FileStore, Segment, StoreError

CARRIERS = ('uav_0', 'satellite_0', 'ground_station')
Fate = Literal['arrives', 'lost', 'twice', 'receipt lost']
fates = st.lists(
    st.sampled_from(['arrives', 'arrives', 'lost', 'twice', 'receipt lost']),
    min_size=1,
    max_size=6,
)


class ThreeHops(RuleBasedStateMachine):
    """A device, a UAV, a satellite and a ground station."""

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.copies = itertools.count()
        self.recorded: dict[str, bytes] = {}
        self.stores = {name: FileStore(self.folder / name) for name in CARRIERS}

    def teardown(self) -> None:
        if not hasattr(self, 'stores'):
            return
        for _ in range(2):
            self.pass_on(0, 10**6, 10**6, ['arrives'])
            self.pass_on(1, 10**6, 10**6, ['arrives'])
        uav, satellite, ground = self.stores.values()
        assert (uav.holdings(), satellite.holdings()) == ([], [])
        assert (uav.held_byte, satellite.held_byte) == (0, 0)
        assert {one.file_id: ground.read(one.file_id) for one in ground.whole()} == self.recorded
        assert ground.held_byte == sum(map(len, self.recorded.values()))
        for store in self.stores.values():
            store.close()
        shutil.rmtree(self.folder)

    @rule(device=st.integers(0, 3), slot=st.integers(0, 3), size=st.integers(1, 200))
    def record(self, device: int, slot: int, size: int) -> None:
        """A device hands a file to the UAV, and again if it has handed it over already."""
        name = f'd{device}-{slot}'
        data = self.recorded.setdefault(name, contents(1, device, slot, size))
        whole = Segment.whole(name, device, slot, data)
        assert self.stores['uav_0'].add(whole) == len(data)

    @rule(
        hop=st.integers(0, 1),
        budget=st.integers(0, 400),
        largest=st.integers(1, 150),
        fates=fates,
    )
    def pass_on(self, hop: int, budget: int, largest: int, fates: list[Fate]) -> None:
        """One hands on to the next in a slot; receipts come at once, unless they are lost."""
        sender, receiver = (self.stores[name] for name in CARRIERS[hop : hop + 2])
        sender.rewind()
        handed_on = 0
        for part, fate in zip(sender.parts(budget, largest), itertools.cycle(fates)):
            handed_on += len(part.data)
            if fate == 'lost':
                continue
            for _ in range(2 if fate == 'twice' else 1):
                try:
                    receiver.add(part)
                except StoreError as error:  # one before it was lost
                    assert 'send it from there' in str(error)
            if fate != 'receipt lost':
                sender.release(part.file_id, receiver.arrived_byte(part.file_id))
        assert handed_on <= budget

    @rule(hop=st.integers(0, 2), killed=st.booleans())
    def restart(self, hop: int, killed: bool) -> None:
        """A process ends, in good order or not, and starts again."""
        name = CARRIERS[hop]
        store = self.stores[name]
        before = (store.holdings(), store.held_byte)
        folder = store.folder
        if killed:
            folder = self.folder / f'{name}-{next(self.copies)}'
            shutil.copytree(store.folder, folder)
        store.close()
        again = self.stores[name] = FileStore(folder)
        assert (again.holdings(), again.held_byte) == before

    @invariant()
    def nobody_lets_go_of_what_the_next_one_lacks(self) -> None:
        for here, there in itertools.pairwise(getattr(self, 'stores', {}).values()):
            for name in self.recorded:
                holding = here.holding(name)
                released_byte = 0 if holding is None else holding.released_byte
                assert released_byte <= there.arrived_byte(name)

    @invariant()
    def what_is_on_the_ground_is_what_was_recorded(self) -> None:
        if hasattr(self, 'stores'):
            ground = self.stores['ground_station']
            for holding in ground.holdings():
                data = self.recorded[holding.file_id]
                assert ground.read(holding.file_id) == data[: holding.held_byte]


TestThreeHops = ThreeHops.TestCase
TestThreeHops.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
