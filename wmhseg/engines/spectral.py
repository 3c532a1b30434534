"""Valid convolutions with large kernels, computed by frequencies and only where they are needed.

A fully connected layer over 18 x 18 x 110 values, as a convolution to 300 maps, costs 10.7 million
multiplications a pixel. By frequencies (overlap-save) it costs a fortieth of that: tiles of 48 x 48
pixels are transformed, each frequency's maps are multiplied by a complex matrix of the weights'
frequencies, and the inverse transform is right for 48 - 18 + 1 = 31 rows and columns. A dilated
convolution is an ordinary one of each phase (every second or fourth row and column). The transforms
are multiplications by small matrices as well: at this size those are faster than the fast
Fourier transform, since all maps are transformed at once.

With x = X + i X' and w = W + i W' at a frequency, a correlation is x times the conjugate of w. Rows
of X and X' are multiplied by W and by W'; which sums of these four products make up the real and
the imaginary part is left to the matrix of the inverse transform.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float32]
Bool = npt.NDArray[np.bool_]

TILE = 48
"""Rows and columns that are transformed. Larger ones need more memory, smaller ones more time."""

TILES = 16
"""Tiles in one multiplication."""

HALF = TILE // 2 + 1
"""Frequencies along rows; the others are their conjugates, as what goes in is real."""

LARGEST_KERNEL = TILE // 2


@dataclass(frozen=True)
class Tile:
    """Where a tile's results lie.

    Attributes:
        rows: Of the whole result, every second or fourth in a phase.
        columns: The same of columns.
    """

    rows: slice
    columns: slice


def tiles(wanted: Bool, dilation: int, kernel: int) -> Iterator[Tile]:
    """Yields tiles that cover what is wanted, phase by phase, and leaves out those that do not.

    Args:
        wanted: (row, column).
        dilation: Of the convolution.
        kernel: Rows and columns of the kernel.
    """
    right = TILE - kernel + 1
    for row, column in np.ndindex(dilation, dilation):
        phase = wanted[row::dilation, column::dilation]
        if not phase.any():
            continue
        first = [int(phase.any(1 - axis).argmax()) for axis in (0, 1)]
        for r in range(first[0], phase.shape[0], right):
            for c in range(first[1], phase.shape[1], right):
                if phase[r : r + right, c : c + right].any():
                    yield Tile(
                        slice(row + dilation * r, row + dilation * (r + right), dilation),
                        slice(column + dilation * c, column + dilation * (c + right), dilation),
                    )


def _waves(rows: int, columns: int) -> npt.NDArray[np.complex128]:
    """exp(2 pi i row column / TILE)."""
    angles = 2 * np.pi / TILE * np.outer(np.arange(rows), np.arange(columns))
    waves: npt.NDArray[np.complex128] = np.cos(angles) + 1j * np.sin(angles)
    return waves


def from_rows(pixels: int) -> Float:
    """(frequency, part) x row: real and imaginary part of the transform of real numbers."""
    waves = _waves(HALF, pixels).conj()
    return np.stack([waves.real, waves.imag], 1).reshape(2 * HALF, pixels).astype(np.float32)


def from_columns(pixels: int) -> Float:
    """(frequency, part) x (part, column): the transform of complex numbers."""
    waves = _waves(TILE, pixels).conj()
    real = np.concatenate([waves.real, -waves.imag], 1)
    imaginary = np.concatenate([waves.imag, waves.real], 1)
    return np.stack([real, imaginary], 1).reshape(2 * TILE, 2 * pixels).astype(np.float32)


def to_columns(pixels: int) -> tuple[Float, Float]:
    """(part, column) x (frequency, part of x): what was multiplied by W, and by W'."""
    waves = _waves(pixels, TILE)
    found = []
    for factor in (1, -1j):  # the conjugate of w
        both = np.stack([factor * waves, 1j * factor * waves], -1)
        parts = np.concatenate([both.real, both.imag])
        found.append(parts.reshape(2 * pixels, 2 * TILE).astype(np.float32))
    return found[0], found[1]


def to_rows(pixels: int) -> Float:
    """Row x (frequency, part): the inverse transform to real numbers, and the division."""
    twice = np.full(HALF, 2.0)
    twice[[0, -1]] = 1
    waves = _waves(pixels, HALF) * twice / TILE**2
    return np.stack([waves.real, -waves.imag], -1).reshape(pixels, 2 * HALF).astype(np.float32)


def frequencies(kernel: Float) -> Float:
    """A kernel's transform.

    Args:
        kernel: (row, column, received, made).

    Returns:
        (part, frequency of rows, frequency of columns, received, made).
    """
    rows, columns, received, made = kernel.shape
    by_rows = from_rows(rows).reshape(HALF, 2, rows)
    by_columns = from_columns(columns).reshape(TILE, 2, 2 * columns)
    found = np.empty((2, HALF, TILE, received, made), np.float32)
    flat = kernel.reshape(rows, -1)
    for number in range(HALF):
        lines = (by_rows[number] @ flat).reshape(2 * columns, -1)
        for part in (0, 1):
            found[part, number] = (by_columns[:, part] @ lines).reshape(TILE, received, made)
    return found


class Multiply(Protocol):
    """The multiplications of some tiles.

    Attributes:
        right: Rows and columns of a tile that come out right.
    """

    right: int

    def __call__(self, blocks: Float, weights: Float) -> Float:
        """Correlates tiles with a kernel.

        Args:
            blocks: (row, column, tile, map), ``TILE`` rows and columns, ``TILES`` tiles.
            weights: As ``frequencies`` makes them.

        Returns:
            (row, column, tile, map), ``right`` rows and columns, valid until the next call.
        """


def correlate(
    maps: Float,
    weights: Float,
    wanted: Bool,
    dilation: int,
    multiply: Multiply,
) -> Float:
    """A valid convolution at some pixels.

    Args:
        maps: (row, column, map), larger than ``wanted`` by dilation x (kernel - 1).
        weights: The kernel's ``frequencies``.
        wanted: (row, column): the pixels.
        dilation: Steps between the taps.
        multiply: The matrices for this size of kernel.

    Returns:
        (pixel, map) without bias, the pixels in the order of ``numpy.nonzero``.
    """
    numbers = np.where(wanted, wanted.ravel().cumsum().reshape(wanted.shape) - 1, -1)
    found = np.empty((int(wanted.sum()), weights.shape[-1]), np.float32)
    all_tiles = list(tiles(wanted, dilation, TILE - multiply.right + 1))
    blocks = np.zeros((TILE, TILE, TILES, maps.shape[2]), np.float32)
    for first in range(0, len(all_tiles), TILES):
        some = all_tiles[first : first + TILES]
        for place, tile in enumerate(some):
            seen = maps[_longer(tile.rows), _longer(tile.columns)]
            blocks[:, :, place] = 0
            blocks[: seen.shape[0], : seen.shape[1], place] = seen
        made = multiply(blocks, weights)
        for place, tile in enumerate(some):
            where = numbers[tile.rows, tile.columns]
            kept = where >= 0
            found[where[kept]] = made[: where.shape[0], : where.shape[1], place][kept]
    return found


def _longer(part: slice) -> slice:
    """From the pixels that a tile makes to those that it takes, which begin where they do."""
    return slice(part.start, part.start + TILE * part.step, part.step)
