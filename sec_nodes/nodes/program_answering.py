"""Runs parts of networks that came over the air, each for the task that it came for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sec_nodes.inference.codec import PayloadError
from sec_nodes.inference.manifest import ClassifierEntry
from sec_nodes.inference.providers import DevicePolicy
from sec_nodes.nodes.answering import Teller, ThreadAnswering, Work

if TYPE_CHECKING:
    from sec_nodes.inference.programs import Head


@dataclass(frozen=True)
class Program:
    """The layers of a network after a cut, as they came over the air."""

    model_id: str
    cut: int
    sha256: str
    """As the sender says, hexadecimal."""
    data: bytes = field(repr=False)
    """An ONNX file."""


class ProgramAnswering(ThreadAnswering):
    """Parts of classifiers that came over the air, each for one piece of work.

    Work finds its program by lane and key.

    Args:
        networks: what they may be parts of, by name; they say what enters and what scores mean.
        policy: where they run.
        max_queue: most work that waits at a lane, what runs not counted.
        teller: who is told.
    """

    def __init__(
        self,
        networks: Mapping[str, ClassifierEntry],
        policy: DevicePolicy,
        max_queue: int,
        teller: Teller,
    ) -> None:
        # its libraries take most of a second to import: not when the first program comes
        from sec_nodes.inference.programs import Head

        super().__init__(max_queue, teller)
        self._networks, self._policy, self._build_head = networks, policy, Head.from_bytes
        self._heads: dict[tuple[str, Hashable], Head | None] = {}
        self._providers: dict[str, str] = {}

    def __len__(self) -> int:
        """Programs that are kept."""
        return len(self._heads)

    def expected(self, model_id: str, cut: int) -> tuple[tuple[int, ...] | None, str]:
        """Shape and type of the tensor at a cut."""
        place = self._networks[model_id].cuts[cut]
        return place.shape, place.dtype

    def keep(
        self, lane: str, key: Hashable, program: Program, refuse: Callable[[str], None]
    ) -> None:
        """Keep a program for work to come, and build it; one that is kept already stays.

        Args:
            lane: where the work will be.
            key: of the work.
            program: of a network and cut that exist.
            refuse: told why, on another thread, if it cannot be run.
        """
        with self._lock:
            if (lane, key) in self._heads:
                return
            self._heads[lane, key] = None
        self._thread.submit(self._build, (lane, key), program, refuse)

    def holds(self, lane: str, key: Hashable) -> bool:
        """Whether the program for some work is kept."""
        return (lane, key) in self._heads

    def drop(self, fits: Callable[[str, Any], bool]) -> None:
        """Forget the programs of which lane and key fit."""
        with self._lock:
            self._heads = {name: head for name, head in self._heads.items() if not fits(*name)}

    def submit(self, work: Work) -> None:
        """Take work on."""
        if not self.holds(work.lane, work.key):
            raise PayloadError('no program for it has arrived')
        super().submit(work)

    def answer(self, work: Work) -> tuple[str, float]:
        """Run the program of the work."""
        with self._lock:
            head = self._heads.get((work.lane, work.key))
        if head is None:
            raise PayloadError('its program is gone')
        return head.answer(head.run(work.tensor))

    def forget(self, lane: str) -> None:
        """Forget the programs of a lane."""
        self.drop(lambda name, _: name == lane)

    def providers(self) -> dict[str, str]:
        """Execution provider by model, of programs that have been built."""
        return dict(self._providers)

    def _build(
        self, name: tuple[str, Hashable], program: Program, refuse: Callable[[str], None]
    ) -> None:
        """Build a program, if it is still wanted. On the thread."""
        if name not in self._heads:
            return
        try:
            head = self._sound_head(program)
        except Exception as error:  # ONNX Runtime's errors have no common base
            self.drop(lambda *other: other == name)
            refuse(str(error) or type(error).__name__)
            return
        with self._lock:
            if name in self._heads:
                self._heads[name] = head
                self._providers[program.model_id] = head.provider

    def _sound_head(self, program: Program) -> Head:
        network = self._networks[program.model_id]
        head = self._build_head(
            program.data, self._policy, sha256=program.sha256, classes=network.classes
        )
        given = self.expected(program.model_id, program.cut)
        if (head.input_shape, head.input_dtype) != given:
            raise PayloadError(
                f'program takes {head.input_dtype} {head.input_shape}, but cut {program.cut} of '
                f'{program.model_id!r} gives {given[1]} {given[0]}'
            )
        return head
