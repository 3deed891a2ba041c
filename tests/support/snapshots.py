"""Pictures of pages that are kept in the repository, and whether a page still looks like its picture.

Kept are pictures of few colours, those of wide pages at half their size: small, and all that a person would miss is in
them. Compared are the mean colours of cells of 16 by 16 pixels of the page. Another version of the engine draws the
edges of letters otherwise, which such a mean hardly shows; a box elsewhere, a text that is not there or another colour
it shows well.
"""

import io
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

COLOURS: Final = 256
CELL: Final = 16
"""Of a page; half of it in a picture of half the size."""
APART: Final = 12.0
"""Of 255, in one of the three colours: a cell that is further off than this looks different."""
MOST_CELLS: Final = 4
"""So many may: the smallest button there is covers more."""
HALF_FROM: Final = 1000
"""Width of a page from which its picture is kept at half its size."""


class Difference(NamedTuple):
    cells: int
    picture: Image.Image
    """What there was, what there is, and where they differ, side by side."""

    @property
    def seen(self) -> bool:
        return self.cells > MOST_CELLS


def kept_as(screenshot: bytes) -> Image.Image:
    """A screenshot in the size in which it is kept."""
    picture = Image.open(io.BytesIO(screenshot)).convert("RGB")
    if picture.width >= HALF_FROM:
        picture = picture.reduce(2)
    return picture


def keep(picture: Image.Image, path: Path, colours: int = COLOURS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    few = picture.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)


def compare(before: Image.Image, now: Image.Image) -> Difference:
    """A page of another size differs in all of it."""
    before, now = before.convert("RGB"), now.convert("RGB")
    if before.size != now.size:
        return Difference(before.width * before.height // CELL**2, _beside(before, now, now))
    cell = CELL if now.width < HALF_FROM // 2 else CELL // 2
    # What is kept has few colours; their mean is that of many, all but a little.
    apart = np.abs(_cells(before, cell) - _cells(now, cell)).max(axis=2)
    differs = apart > APART
    mask = np.kron(differs, np.ones((cell, cell), dtype=np.bool_))
    marked = np.asarray(now).copy()
    marked[: mask.shape[0], : mask.shape[1]][mask[: marked.shape[0], : marked.shape[1]]] = (255, 0, 255)
    return Difference(int(differs.sum()), _beside(before, now, Image.fromarray(marked)))


def _cells(picture: Image.Image, cell: int) -> npt.NDArray[np.float32]:
    """Mean colours; what is left over on the right and below is no cell."""
    pixels = np.asarray(picture, dtype=np.float32)
    rows, columns = pixels.shape[0] // cell, pixels.shape[1] // cell
    whole = pixels[: rows * cell, : columns * cell].reshape(rows, cell, columns, cell, 3)
    return whole.mean(axis=(1, 3))


def _beside(*pictures: Image.Image) -> Image.Image:
    whole = Image.new("RGB", (sum(one.width for one in pictures), max(one.height for one in pictures)))
    at = 0
    for one in pictures:
        whole.paste(one, (at, 0))
        at += one.width
    return whole
