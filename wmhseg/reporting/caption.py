"""What is written above a picture."""

from __future__ import annotations

from dataclasses import dataclass


def millilitres(volume_ml: float) -> str:
    """A volume in words, with as many digits as a small lesion needs."""
    return f"{volume_ml:.{2 if volume_ml >= 0.1 or not volume_ml else 3}f} ml"


def lesion_count(count: int) -> str:
    """A number of lesions in words."""
    return counted(count, "lesion")


def counted(count: int, what: str) -> str:
    """A number of things in words.

    Args:
        count: How many.
        what: What one of them is called; more have an s.
    """
    return f"{count} {what}{'s' * (count != 1)}"


@dataclass(frozen=True)
class Caption:
    """What is written above the slices.

    Attributes:
        title: The result in a few words.
        source: Name of the scan, as it was given; shortened at its front where it is too long.
        lines: Further lines, shortened likewise.
        notice: At the right of the title.
    """

    title: str
    source: str
    lines: tuple[str, ...]
    notice: str
