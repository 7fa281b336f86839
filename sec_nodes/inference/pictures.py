"""Where a device's pictures come from: rendered scenes, or a folder of the user's own.

A source answers picture (seed, device, slot, index) with the same picture every time, so a run in
ROS and a run in the simulation see the same ones.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sec_nodes.inference.scenes import CLASSES, PICTURE_SHAPE, draw_label, render

SUFFIXES = ('.jpg', '.jpeg', '.png')

_log = logging.getLogger(__name__)


class PictureError(Exception):
    """A picture source cannot serve; the text names the folder and the remedy."""


@dataclass(frozen=True)
class Picture:
    """A picture (rows, columns, 3) uint8 RGB, its true class if known, and where it is from."""

    image: NDArray[np.uint8]
    label: str | None
    name: str


class PictureSource(Protocol):
    """What a device asks for the picture of one of its tasks."""

    def picture(self, seed: int, device: int, slot: int, index: int) -> Picture:
        """The picture of task `index` of `device` in `slot` of the run seeded `seed`."""


def picture_seed(seed: int, device: int, slot: int, index: int) -> int:
    """A seed from 2**62 to 2**63 - 1 for one task, the same on every machine.

    The range is apart from the training and the held-out pictures'. ValueError for a number below
    0 or from 2**63.
    """
    numbers = {'seed': seed, 'device': device, 'slot': slot, 'index': index}
    for name, value in numbers.items():
        if not 0 <= value < 2**63:
            raise ValueError(f'{name} is {value}; give an integer from 0 to 2**63 - 1')
    digest = hashlib.blake2b(struct.pack('<4q', *numbers.values()), digest_size=8).digest()
    return 2**62 + int.from_bytes(digest, 'little') % 2**62


class RenderedPictures:
    """Scenes by code: every class equally likely, the label always known.

    Args:
        size: rows and columns; other than the renderer's own take the nearest of its pixels.
    """

    def __init__(self, size: tuple[int, int] = PICTURE_SHAPE[:2]) -> None:
        self._pixels = np.ix_(
            *(
                np.arange(wanted) * rendered // wanted
                for wanted, rendered in zip(size, PICTURE_SHAPE[:2], strict=True)
            )
        )

    def picture(self, seed: int, device: int, slot: int, index: int) -> Picture:
        """Draw a label, then the scene, both from the task's own seed."""
        own = picture_seed(seed, device, slot, index)
        label = draw_label(own)
        return Picture(render(label, own)[self._pixels], label, f'scene:{label}:{own}')


class FolderPictures:
    """A folder of .jpg and .png files, subfolders included, cut and scaled to the model's input.

    A file's label is the name of the folder it lies in if that is one of `classes`, else unknown.
    A file that cannot be decoded is skipped in favour of the next one, counted in `unreadable`
    and logged once. PictureError if the folder is missing, empty or has no readable picture.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        size: tuple[int, int] = PICTURE_SHAPE[:2],
        classes: tuple[str, ...] = CLASSES,
    ) -> None:
        """`size`: rows and columns pictures are brought to, cropped evenly about the middle."""
        self.folder = Path(folder)
        self.size = size
        self.classes = classes
        self.unreadable: set[Path] = set()
        if not self.folder.is_dir():
            raise PictureError(f'picture folder {self.folder} does not exist')
        self.files = tuple(
            sorted(path for path in self.folder.rglob('*') if path.suffix.lower() in SUFFIXES)
        )
        if not self.files:
            raise PictureError(
                f'picture folder {self.folder} holds no {", ".join(SUFFIXES)} file; add some'
            )
        self._from(0)

    def named(self, name: str) -> Picture:
        """The picture of a file by its path below the folder; PictureError if it has none."""
        image = self._read(self.folder / name)
        if image is None:
            raise PictureError(f'picture {self.folder / name} cannot be decoded; replace it')
        return Picture(image, None, name)

    def picture(self, seed: int, device: int, slot: int, index: int) -> Picture:
        """One of the files, each equally likely, drawn from the task's own seed."""
        return self._from(picture_seed(seed, device, slot, index) % len(self.files))

    def _from(self, position: int) -> Picture:
        """The first readable picture from `position` on, around the list."""
        for path in self.files[position:] + self.files[:position]:
            if path in self.unreadable:
                continue
            image = self._read(path)
            if image is not None:
                label = path.parent.name if path.parent.name in self.classes else None
                return Picture(image, label, str(path.relative_to(self.folder)))
        raise PictureError(
            f'none of the {len(self.files)} pictures in {self.folder} can be decoded; replace them'
        )

    def _read(self, path: Path) -> NDArray[np.uint8] | None:
        """A file as RGB of `size`, or None after noting that it cannot be decoded."""
        from PIL import Image, ImageOps  # only this source needs Pillow

        rows, cols = self.size
        try:
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened).convert('RGB')
                fitted = ImageOps.fit(upright, (cols, rows), Image.Resampling.BILINEAR)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self.unreadable.add(path)
            _log.warning('picture %s skipped, it cannot be decoded: %s', path, error)
            return None
        return np.asarray(fitted, np.uint8)
