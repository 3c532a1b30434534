"""What a target is, and all of them."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Files = dict[str, bytes]
"""Name -> content: one input. The first is what is read, others lie beside it."""


@dataclass(frozen=True)
class Target:
    """A reader, and what is fed to it.

    Attributes:
        name: What it is called.
        corpus: Good files, and bad ones of every kind that the reader knows.
        damaged: Makes an input of the corpus.
        read: Reads the input that lies in a folder under the given names; raises WmhsegError or
            returns. Whatever else it raises must not happen.
        modules: Those whose branches the corpus should reach.
        patience_s: How long one input may take.
        processor_s: How much time of a processor it may take in the first try; 0 for no limit.
        read_guarded: For a reader that uses a library which may die or hang, and does so in a
            process of its own: ``read`` uses the library without that, this is the whole reader.
    """

    name: str
    corpus: Sequence[Files]
    damaged: Callable[[random.Random, Sequence[Files]], Files]
    read: Callable[[Path, Files], None]
    modules: tuple[str, ...]
    patience_s: float = 5.0
    processor_s: float = 0.0
    read_guarded: Callable[[Path, Files], None] | None = None

    def made(self, seed: int, number: int) -> Files:
        """The input of a number: always the same."""
        rng = random.Random(f"{self.name}:{seed}:{number}")
        if rng.random() < 0.02:
            return rng.choice(self.corpus)
        return self.damaged(rng, self.corpus)


# Of so many inputs in a row, how many each target gets.
_SHARES = {
    "nifti": 10, "gzip": 5, "hdf5": 5, "tensors": 3, "presets": 3, "plans": 3, "tables": 3,
}  # fmt: skip
NAMES = tuple(_SHARES)
_TURNS = sorted(
    ((turn + 0.5) / share, name) for name, share in _SHARES.items() for turn in range(share)
)


def name_of(number: int) -> str:
    """The target of a number."""
    return _TURNS[number % len(_TURNS)][1]


@cache
def target(name: str) -> Target:
    """A target by its name; its corpus is made once."""
    made: Target = importlib.import_module(f"{__package__}.{name}_inputs").make()
    return made
