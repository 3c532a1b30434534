"""What goes in a later version is told long before: once a process, in one line.

``docs/stability.md`` promises when. A name of Python is told by a ``DeprecationWarning``, which
test runners show and which is silent elsewhere; an option of the command line by a line on standard
error, quiet or not, since nobody else would tell its user.
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import dataclass

_TOLD: set[str] = set()


@dataclass(frozen=True)
class Deprecation:
    """Something that works on for a while under its old name.

    Attributes:
        old: What is written today, such as "--lesions" or "wmhseg.Scanner".
        new: What to write in its place.
        since: The first version that tells it.
        until: The version in which it goes.

    >>> print(Deprecation("--lesions", "--min-lesion", since="1.1", until="2.0").text)
    --lesions is deprecated since version 1.1 and goes with version 2.0. Use --min-lesion.
    """

    old: str
    new: str
    since: str
    until: str

    @property
    def text(self) -> str:
        """One sentence on what happens, and one on what to do."""
        return (
            f"{self.old} is deprecated since version {self.since} and goes with version "
            f"{self.until}. Use {self.new}."
        )

    def warn(self, above: int = 1) -> None:
        """Tells the caller of Python code, the first time.

        Args:
            above: How many functions stand between this call and the user's line.
        """
        if self._first():
            warnings.warn(self.text, DeprecationWarning, stacklevel=2 + above)

    def say(self) -> None:
        """Tells the user of the command line, the first time."""
        if self._first() and sys.stderr is not None:
            print(f"wmhseg: warning: {self.text}", file=sys.stderr, flush=True)

    def _first(self) -> bool:
        new = self.old not in _TOLD
        _TOLD.add(self.old)
        return new
