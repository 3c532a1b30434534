"""Text in pictures, in the font that comes with Pillow."""

from __future__ import annotations

import bisect
import functools
import unicodedata
from dataclasses import dataclass

from PIL import ImageDraw, ImageFont

Colour = tuple[int, int, int]

_UNKNOWN = "\U0010ffff"  # no font has it: what is drawn like this is missing


@dataclass(frozen=True)
class Style:
    """How text looks.

    Attributes:
        size: Of the font, in pixels.
        colour: Of the letters.
        rim: Width of a dark rim, for bright ground.
    """

    size: int
    colour: Colour
    rim: int = 0


@functools.cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was expected to have FreeType, as its wheels have.")
    return font


@functools.cache
def _drawable(letter: str) -> bool:
    font = _font(16)
    return letter.isprintable() and bytes(font.getmask(letter)) != bytes(font.getmask(_UNKNOWN))


def plain(text: str) -> str:
    """Text of letters that the font has: others lose their accents, or become "?"."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        letter if letter == " " or _drawable(letter) else _nearest(letter) for letter in text
    )


def _nearest(letter: str) -> str:
    base = unicodedata.normalize("NFKD", letter)[0]
    return base if base.isascii() and base.isprintable() else "?"


@functools.lru_cache(16)
def shortened(text: str, size: int, width: float) -> str:
    """The end of a text that is too long for some pixels, as the end of a path tells most."""
    text = plain(text)
    if _font(size).getlength(text) <= width:
        return text
    cuts = range(len(text))
    cut = bisect.bisect_left(cuts, -width, key=lambda n: -_font(size).getlength("..." + text[n:]))
    return "..." + text[cut:]


def write(
    draw: ImageDraw.ImageDraw,
    place: tuple[int, int],
    text: str,
    style: Style,
    *,
    anchor: str = "la",
) -> None:
    """Writes one line.

    Args:
        draw: Where to.
        place: Column and row of the anchor.
        text: Without line ends.
        style: How it looks.
        anchor: Pillow's: "la" is the left end of the upper edge.
    """
    draw.text(
        place,
        plain(text),
        style.colour,
        _font(style.size),
        anchor=anchor,
        stroke_width=style.rim,
        stroke_fill=(0, 0, 0),
    )
