"""Whose turn a subject is, where many processes on many machines share one folder of results.

A claim is a small file, ``OUTPUT/.wmhseg/claims/<subject>``, that says who is at work: machine,
process, since when. It appears by ``link``, which one process alone succeeds with on every file
system, NFS included; no lock is asked for. While the work lasts its time is renewed.

A holder is dead

* on the same machine (same boot, same namespace of processes), if its process is gone: at once;
* anywhere, if the claim has not been renewed for ``LEASE_S``. Both times that are compared are the
  file system's: that of the claim, and that of a file which was written just now.

Of those who find a holder dead one alone takes over: who holds the claim ``<subject>~<token>``, the
right to depose that very holder. A holder that could not renew its claim for half that time (a
machine that slept, a file system that hung) counts itself out and publishes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wmhseg.io import files

LEASE_S = 600.0
"""After so long without a sign a holder is dead."""

BEAT_S = 30.0
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EACCES}
_TRIES = 20


class LostError(Exception):
    """A claim is no longer held: somebody may have taken over."""


@dataclass(frozen=True)
class Holder:
    """Who is at work.

    Attributes:
        token: Of this claim alone.
        host: Name of the machine, for people.
        place: What tells machines, boots and containers apart.
        process: Its number.
        born: When the process began, as the machine counts.
        since: When it was claimed, UTC.
    """

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    host: str = field(default_factory=platform.node)
    place: str = field(default_factory=lambda: _place())
    process: int = field(default_factory=os.getpid)
    born: str = field(default_factory=lambda: _born(os.getpid()))
    since: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __str__(self) -> str:
        """Names it in a message."""
        return f"process {self.process} on {self.host}, since {self.since}"

    @property
    def is_here(self) -> bool:
        """Whether its process would be seen from here."""
        return self.place == _place()


def _place() -> str:
    """This boot of this machine, and the processes that can be seen in it."""
    seen = platform.node()
    with contextlib.suppress(OSError):
        seen += Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        seen += os.readlink("/proc/self/ns/pid")
    return seen


def _born(process: int) -> str:
    """Start of a process in ticks since the boot; "" if there is none, or nobody knows."""
    try:
        text = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return ""
    state, *numbers = text.rpartition(b")")[2].split()
    return "" if state in (b"Z", b"X") else numbers[18].decode()


def _lives(holder: Holder) -> bool:
    """Whether the process of a holder that is here is there."""
    if holder.born:
        return _born(holder.process) == holder.born
    try:
        os.kill(holder.process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's, and there
        pass
    return True


def _clock_s() -> float:
    """Seconds that go on while the machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class Claim:
    """A subject that is this process's; renewed in a thread of its own until it is given back."""

    def __init__(self, path: Path, holder: Holder, taken_s: float) -> None:
        """Keeps what ``take`` has taken at a time of ``_clock_s``."""
        self._path, self._holder, self._renewed_s = path, holder, taken_s
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True)
        self._thread.start()

    def _renew(self) -> None:
        while not self._end.wait(BEAT_S):
            with contextlib.suppress(OSError, LostError):
                self.check()
                now_s = _clock_s()
                os.utime(self._path)
                self._renewed_s = now_s

    def check(self) -> None:
        """Makes sure that the subject is still this process's.

        Raises:
            LostError: It is not, or nobody can be sure.
        """
        if _clock_s() - self._renewed_s > LEASE_S / 2:
            raise LostError(f"the claim could not be renewed for {LEASE_S / 2:.0f} s")
        found = _read(self._path)
        if found is None or found[0].token != self._holder.token:
            raise LostError(f"taken over by {found[0]}" if found else "the claim is gone")

    def give_back(self) -> None:
        """Ends it: whoever wants the subject may have it."""
        self._end.set()
        with contextlib.suppress(LostError, OSError):
            self.check()
            self._path.unlink()


def take(folder: Path, name: str) -> Claim | Holder:
    """Claims a subject.

    Args:
        folder: Of claims; made if needed.
        name: What to claim, a name of a file.

    Returns:
        The claim, or who has it.

    Raises:
        OutputError: Nothing can be written there.
    """
    holder, path = Holder(), folder / name
    other = holder
    content = json.dumps(asdict(holder)).encode()
    for _ in range(_TRIES):
        # A folder that somebody found empty and removed costs a try.
        with contextlib.suppress(FileNotFoundError), _draft(folder, content) as draft:
            taken_s = _clock_s()
            if _linked(draft, path, content):
                return Claim(path, holder, taken_s)
            found = _read(path)
            if found is None:  # given back meanwhile
                continue
            other, renewed = found
            if not _is_dead(other, draft.stat().st_mtime - renewed):
                return other
            right = take(folder, f"{name}~{other.token}")
            if isinstance(right, Holder):
                return right
            try:
                now = _read(path)
                if now is not None and now[0].token == other.token:
                    right.check()
                    taken_s = _clock_s()
                    os.utime(draft)
                    os.replace(draft, path)
                    return Claim(path, holder, taken_s)
            except (LostError, OSError):
                continue
            finally:
                right.give_back()
    return other


def _is_dead(holder: Holder, age_s: float) -> bool:
    return age_s > LEASE_S or (holder.is_here and not _lives(holder))


@contextlib.contextmanager
def _draft(folder: Path, content: bytes) -> Iterator[Path]:
    """A complete file of a name that nobody else has."""
    path = folder / f".wmhseg-{secrets.token_hex(8)}.part"
    with files.output_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # removed, as it was empty: the next try
            path.write_bytes(content)
    try:
        yield path
    finally:
        with contextlib.suppress(OSError):
            path.unlink()


def _linked(draft: Path, path: Path, content: bytes) -> bool:
    """Gives a draft its name, if nobody has it; a copy where files can have one name only."""
    try:
        os.link(draft, path)
        return True
    except FileExistsError:
        # The answer to a link that succeeded may be lost, and NFS asks again.
        with contextlib.suppress(OSError):
            return os.stat(draft).st_nlink == 2
        return False
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            with files.output_errors(path):
                raise
    with files.output_errors(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            return False
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    return True


def _read(path: Path) -> tuple[Holder, float] | None:
    """Who holds a claim, and when it was renewed; None if nobody does."""
    try:
        with open(path, "rb") as file:  # opened: NFS keeps what stat says for a minute
            found = os.fstat(file.fileno())
            text = file.read(1 << 16)
    except FileNotFoundError:
        return None
    try:
        return Holder(**json.loads(text)), found.st_mtime
    except (ValueError, TypeError):  # being written, or damaged: nobody's, until it is too old
        unknown = Holder(f"{found.st_mtime_ns:x}", "an unknown machine", "", 0, "", "")
        return unknown, found.st_mtime


def holder_of(folder: Path, name: str) -> Holder | None:
    """Who is at work on a subject and lives, None if nobody is.

    Raises:
        OutputError: As of ``take``.
    """
    found = _read(folder / name)
    if found is None:
        return None
    with _draft(folder, b"") as draft:
        try:
            age_s = draft.stat().st_mtime - found[1]
        except OSError:
            return found[0]
    return None if _is_dead(found[0], age_s) else found[0]


def bury(folder: Path) -> None:
    """Gives back what processes of this machine held when they died, done or not."""
    with contextlib.suppress(OSError):
        for path in list(folder.iterdir()):
            found = None if path.name.startswith(".wmhseg-") else _read(path)
            if found is not None and found[0].is_here and not _lives(found[0]):
                claim = take(folder, path.name)
                if isinstance(claim, Claim):
                    claim.give_back()
    with contextlib.suppress(OSError):  # somebody is still at work
        folder.rmdir()
        folder.parent.rmdir()
