"""Pictures out: PNG, or PDF of one or more pages; complete or not at all."""

from __future__ import annotations

import io
import os

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.io.files import PathLike, write_bytes

Picture = npt.NDArray[np.uint8]
"""(row, column, 3): red, green and blue."""

_A4_LONG_SIDE_INCHES = 297 / 25.4


def write_picture(path: PathLike, *pages: Picture) -> None:
    """Writes a picture, in a folder that is made if needed.

    Args:
        path: Ends in ".png" or ".pdf"; an existing file (or link) is replaced.
        pages: One for a PNG.

    Raises:
        UsageError: If the suffix is another, or several pages are to be one PNG.
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    check_picture_name(path)
    if has_pages(path):
        write_bytes(path, _pdf(pages))
        return
    if len(pages) != 1:
        raise UsageError(
            "One page was expected for a PNG", received=len(pages), advice="Name a .pdf."
        )
    write_bytes(path, png(pages[0]))


def check_picture_name(path: PathLike) -> None:
    """Raises UsageError unless the name of a picture ends in .png or .pdf."""
    if not os.fspath(path).lower().endswith((".png", ".pdf")):
        raise UsageError("The name of a picture should end in .png or .pdf", received=path)


def has_pages(path: PathLike) -> bool:
    """Whether a picture of this name may have several pages: a PDF."""
    return os.fspath(path).lower().endswith(".pdf")


def png(picture: Picture) -> bytes:
    """The content of a PNG."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(content, "PNG", compress_level=3)
    return content.getvalue()


def small_jpeg(picture: npt.NDArray[np.uint8], width: int) -> bytes:
    """A small JPEG: a glance at a picture.

    Args:
        picture: (row, column) grey, or a ``Picture``.
        width: Its columns; rows follow.
    """
    from PIL import Image

    whole = Image.fromarray(np.ascontiguousarray(picture))
    height = max(1, round(whole.height * width / whole.width))
    content = io.BytesIO()
    whole.resize((width, height), Image.Resampling.LANCZOS).convert("RGB").save(
        content, "JPEG", quality=72
    )
    return content.getvalue()


def _pdf(pages: tuple[Picture, ...]) -> bytes:
    """PDF of pages as wide as A4 on its side, without dates: equal pages give equal bytes."""
    from PIL import Image

    first, *rest = (Image.fromarray(np.ascontiguousarray(page)) for page in pages)
    content = io.BytesIO()
    first.save(
        content,
        "PDF",
        save_all=True,
        append_images=rest,
        resolution=first.width / _A4_LONG_SIDE_INCHES,
        quality=92,
        subsampling=0,  # thin lines keep their colour
        creationDate=None,
        modDate=None,
    )
    return content.getvalue()
