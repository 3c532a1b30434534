"""A file on its way: kept under a name of its own, so that the next call goes on where this ended.

Beside it stands what the server called the file's state (its ETag), by which the server knows
whether it still has the same one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from wmhseg.io import files

_POLL_S = 0.2
_LONGEST_TAG = 1000


class Partial:
    """The open file; ``opened`` makes it, and keeps others off it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        """Takes a file that is open for reading and writing."""
        self._path, self.file = path, file
        self.size = file.seek(0, os.SEEK_END)
        self.resumed = self.size > 0

    @property
    def tag(self) -> str:
        """The server's name for the file's state when it was begun; "" if there is none."""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = self._tag_path.read_text("ascii")
            return text if len(text) <= _LONGEST_TAG and text.isprintable() else ""
        return ""

    @property
    def _tag_path(self) -> Path:
        return self._path.with_name(self._path.name + ".etag")

    def begin(self, tag: str) -> None:
        """Forgets what is there, and begins anew.

        Args:
            tag: The server's name for the file's state, or "".
        """
        with files.output_errors(self._path):
            self.file.seek(0)
            self.file.truncate()
            self.size, self.resumed = 0, False
            self._tag_path.unlink(missing_ok=True)
        if tag.isascii() and tag.isprintable() and 0 < len(tag) <= _LONGEST_TAG:
            files.write_text(self._tag_path, tag)

    def append(self, content: bytes) -> None:
        """Adds bytes at the end.

        Raises:
            DiskFullError: If the disk has no room.
            OutputNotWritableError: If the disk fails otherwise.
        """
        with files.output_errors(self._path):
            self.file.seek(self.size)
            self.file.write(content)
            self.file.flush()
        self.size += len(content)

    def remove(self) -> None:
        """Removes the file and what stands beside it; what is open stays so."""
        for path in (self._path, self._tag_path):
            with contextlib.suppress(OSError):
                path.unlink()


def sha256_of(file: BinaryIO) -> str:
    """Checksum of an open file, from its beginning."""
    file.seek(0)
    digest = hashlib.sha256()
    while content := file.read(2**20):
        digest.update(content)
    return digest.hexdigest()


@contextlib.contextmanager
def opened(path: Path, waiting: Callable[[], None]) -> Iterator[Partial]:
    """Opens a file on its way, or a new one, for this process alone.

    Where another process has it open, this one waits until it is done or gone. On a disk that knows
    no locks nobody waits: what two write into one file then has the wrong checksum, and is not
    used.

    Args:
        path: Its own name.
        waiting: Called once if another process has it.

    Raises:
        OutputNotWritableError: If it cannot be opened.
        DiskFullError: If the disk has no room.
    """
    with files.output_errors(path):
        file = _locked(path, waiting)
    try:
        yield Partial(path, file)
    finally:
        with contextlib.suppress(OSError):  # a full disk has been told of
            file.close()


def _locked(path: Path, waiting: Callable[[], None]) -> BinaryIO:
    told = False
    while True:
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        file = os.fdopen(os.open(path, flags, 0o644), "r+b")
        while not _lock(file):
            if not told:
                waiting()
                told = True
            time.sleep(_POLL_S)
        # Whoever had it has removed it when it was done: the lock is on no file then.
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        file.close()


def _lock(file: BinaryIO) -> bool:
    """Whether this process has the file now, as far as the disk can tell."""
    try:
        import fcntl  # not everywhere

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (OSError, ImportError):
        return True
    return True
