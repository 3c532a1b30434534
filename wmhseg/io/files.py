"""Files in and out: only regular ones are read, and only complete ones are written.

Reading opens nothing that could block. Writing goes to a temporary file in the same folder, which
replaces the target only when it is complete and on the disk. Errors of the system become this
project's classes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from wmhseg.errors import (
    DiskFullError,
    MissingFileError,
    OutputNotWritableError,
    UnreadableFileError,
    UsageError,
)

PathLike = str | os.PathLike[str]

_PATIENCE_S = 10.0
_PART = ".wmhseg-*.part"  # of a file that is being written
_GET_ANNEXED = "Get it with git-annex: datalad get FILE, or git annex get FILE."
_POINTERS = (
    (rb"/annex/objects/", "a git-annex pointer instead of the file itself", _GET_ANNEXED),
    (  # disks and archives that know no links keep where one leads to
        rb"(\.\./)*\.git/annex/objects/",
        "a link to a file that is not there, stored as text",
        _GET_ANNEXED,
    ),
    (
        rb"version https://git-lfs",
        "a Git LFS pointer instead of the file itself",
        "Get it with Git LFS: git lfs pull.",
    ),
)
_NO_ROOM = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


def pointer(content: bytes) -> tuple[str, str]:
    """The few words that programs for large files leave in the place of one.

    Args:
        content: A file's, or its beginning.

    Returns:
        What they are and what to do about it; "" and "" for any other content.
    """
    found = (told for beginning, *told in _POINTERS if re.match(beginning, content))
    what, advice = next(found, ("", ""))
    return what, advice


# Reading ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(path: PathLike, label: str, *, advice: str) -> Iterator[BinaryIO]:
    """Opens a regular file; errors of the system are translated until it is closed.

    Args:
        path: A file; a symbolic link is followed.
        label: How to call it in messages.
        advice: What to do instead of naming a folder, pipe or device.

    Yields:
        The file, at its beginning.

    Raises:
        MissingFileError: If there is no such file, or only a link to none.
        UnreadableFileError: If it is no regular file, must not be read, or fails while it is read.
    """
    with _opened(path, label, advice) as file:
        _check_regular(os.fstat(file.fileno()).st_mode, label, advice)
        try:
            yield file
        except OSError as error:
            raise _unreadable(error, label) from error


def _opened(path: PathLike, label: str, advice: str) -> BinaryIO:
    """Opens a regular file, and nothing that could block."""

    def opener(name: str, flags: int) -> int:
        # A pipe that took the file's place after the check must not block.
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    try:
        _check_regular(os.stat(path).st_mode, label, advice)
        return open(path, "rb", opener=opener)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:  # ValueError: odd names
        raise _missing(path, label) from error
    except OSError as error:
        raise _unreadable(error, label) from error


def _missing(path: PathLike, label: str) -> MissingFileError:
    expected, link = f"The {label} should exist", ""
    with contextlib.suppress(OSError, ValueError):  # no link
        link = os.readlink(path)
    if not link:
        return MissingFileError(expected, received="no such file", advice="Check the path.")
    advice = (
        _GET_ANNEXED if "annex/objects" in link else "Copy the file as well, not the link alone."
    )
    return MissingFileError(
        expected, received=f"a link to a file that is not there, {link}", advice=advice
    )


def _check_regular(mode: int, label: str, advice: str) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISSOCK, "a socket"),
    )
    raise UnreadableFileError(
        f"The {label} should be a regular file",
        received=next((kind for test, kind in kinds if test(mode)), "a device"),
        advice=advice,
    )


def _unreadable(error: OSError, label: str) -> UnreadableFileError:
    return UnreadableFileError(
        f"The {label} should be readable",
        received=error.strerror or error,
        advice="Check its permissions and its disk.",
    )


def printable(text: str) -> str:
    """Text that UTF-8 can express: parts of odd file names are escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


# Writing ----------------------------------------------------------------------------------------


def write_text(path: PathLike, text: str) -> None:
    """Writes a text file (UTF-8).

    Args:
        path: An existing file (or link) is replaced.
        text: Its content. What UTF-8 cannot express (parts of odd file names) is escaped.

    Raises:
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    content = printable(text).encode("utf-8")
    write_atomically(path, lambda file: file.write(content))


def write_bytes(path: PathLike, content: bytes) -> None:
    """Writes a file that exists as bytes, in a folder that is made if needed.

    Raises:
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    check_writable(Path(path).parent)
    write_atomically(path, lambda file: file.write(content))


def write_atomically(path: PathLike, write: Callable[[BinaryIO], object]) -> None:
    """Makes a complete file or none.

    A link at ``path`` is replaced, not followed. A program that is killed leaves at most a hidden
    ".wmhseg-*.part" beside it.

    Args:
        path: An existing file (or link) is replaced.
        write: Writes the content to the file that it is given.

    Raises:
        OutputNotWritableError: If the place cannot be written to.
        DiskFullError: If the disk has no room.
    """
    target = Path(path)
    batch = _BATCH.get()
    with output_errors(target):
        _check_replaceable(target)
        if batch is not None:
            batch.finished.append(
                (batch.stack.enter_context(_temporary(target.parent, write)), target)
            )
            return
        with _temporary(target.parent, write) as complete:
            os.replace(complete, target)


@dataclass
class _Batch:
    """Files that are complete under another name and wait for the rest."""

    stack: contextlib.ExitStack
    finished: list[tuple[Path, Path]] = field(default_factory=list)


_BATCH: ContextVar[_Batch | None] = ContextVar("_BATCH", default=None)


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Makes all files that are written inside appear at the end, or none if one fails.

    Inside another such block it is part of that one.
    """
    if _BATCH.get() is not None:
        yield
        return
    with contextlib.ExitStack() as stack:
        batch = _Batch(stack)
        token = _BATCH.set(batch)
        try:
            yield
        finally:
            _BATCH.reset(token)
        for complete, target in batch.finished:
            with output_errors(target):
                os.replace(complete, target)


@contextlib.contextmanager
def at_once() -> Iterator[None]:
    """Files written inside appear when they are written, whatever ``together`` is around.

    For a temporary folder that is read from before that block ends.
    """
    token = _BATCH.set(None)
    try:
        yield
    finally:
        _BATCH.reset(token)


def check_writable(folder: PathLike) -> None:
    """Creates an output folder if needed, and finds out by trying whether it takes files.

    To be called before minutes of computing. The file it tries with is removed.

    Args:
        folder: The folder that results go to.

    Raises:
        OutputNotWritableError: If it cannot be created or written to.
        DiskFullError: If the disk has no room for 4 kB.
    """
    with output_errors(folder):
        os.makedirs(folder, exist_ok=True)
        with _temporary(Path(folder), lambda file: file.write(bytes(4096))):
            pass


@contextlib.contextmanager
def locked(folder: PathLike) -> Iterator[None]:
    """Keeps other processes that ask for the same folder waiting, for a moment's work on a file.

    As far as the disk can: where folders cannot be locked, and when another process does not let
    go of it within seconds, the work is done all the same.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError, ImportError):
            import fcntl  # not everywhere

            descriptor = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, descriptor)
            until = time.monotonic() + _PATIENCE_S
            while time.monotonic() < until:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(0.01)
        yield


def check_outputs(targets: Sequence[Path], *, inputs: Sequence[Path]) -> None:
    """Finds out before computing whether results can be written.

    Args:
        targets: Files to be written; their folders are made if needed.
        inputs: Files that will be read: none of them may be replaced.

    Raises:
        UsageError: If two targets, or a target and an input, are one file.
        OutputNotWritableError: If a folder cannot be made or written to.
        DiskFullError: If a disk has no room.
    """
    taken = {os.path.realpath(path) for path in inputs}
    for target in targets:
        place = os.path.realpath(target)
        if place in taken:
            raise UsageError(
                "Every output and input was expected to be a file of its own",
                received=f'"{target}" twice',
            )
        taken.add(place)
        with output_errors(target):
            _check_replaceable(target)
    for folder in sorted({target.parent for target in targets}):
        check_writable(folder)


@contextlib.contextmanager
def without_empty_folders(*folders: Path) -> Iterator[None]:
    """Removes folders that are made inside and stay empty, if what is done inside fails.

    Args:
        folders: Those that may be made, with the folders above them.
    """
    above = {place for folder in folders for place in (folder, *folder.parents)}
    missing = [place for place in above if not place.exists()]
    try:
        yield
    except BaseException:
        for place in sorted(missing, key=lambda place: len(place.parts), reverse=True):
            with contextlib.suppress(OSError):  # something else is in it by now
                place.rmdir()
        raise


def clear_parts(folder: Path) -> None:
    """Removes what programs that were killed have left beside their outputs.

    Args:
        folder: One that nobody else writes to now; it may be missing.
    """
    for path in folder.glob(_PART):
        with contextlib.suppress(OSError):  # not ours to remove, or gone
            path.unlink()


@contextlib.contextmanager
def _temporary(folder: Path, write: Callable[[BinaryIO], object]) -> Iterator[Path]:
    """A complete file of a new name in a folder; what is left of it at the end is removed."""
    name = folder / _PART.replace("*", secrets.token_hex(8))
    try:
        with open(name, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())  # a lack of room may show only now
        yield name
    finally:
        with contextlib.suppress(OSError):
            name.unlink()


def _check_replaceable(target: Path) -> None:
    """Refuses to replace a folder, device or pipe."""
    with contextlib.suppress(FileNotFoundError):
        mode = target.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise _not_writable(target, "a folder, device or pipe of that name")


@contextlib.contextmanager
def output_errors(path: PathLike) -> Iterator[None]:
    """Gives errors of the system while writing this project's classes."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFullError(
                f'Room on the disk was expected to write "{path}"',
                received=error.strerror,
                advice="Nothing was written. Free some space or choose another folder.",
            ) from error
        reason = "something that is not a folder" if error.errno == errno.EEXIST else error.strerror
        raise _not_writable(path, reason or str(error)) from error
    except ValueError as error:  # a NUL in the name, or a name that cannot be encoded
        raise _not_writable(path, str(error)) from error


def _not_writable(path: PathLike, reason: str) -> OutputNotWritableError:
    return OutputNotWritableError(
        f'It should be possible to write "{path}"',
        received=reason,
        advice="Choose a folder that exists and that you may write to.",
    )
