"""What takes part in an evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wmhseg.datasets.cases import Case


@dataclass(frozen=True)
class Contender:
    """Something that segments.

    Attributes:
        name: Name of its folder and in tables.
        about: What it is and what it was trained on.
        identity: Changes whenever its masks could change.
        segment: Segments a case and writes the mask to a path.
    """

    name: str
    about: str
    identity: str
    segment: Callable[[Case, Path], None]
