"""What a batch does with a subject, in tests: spawned processes import it from here."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wmhseg import errors
from wmhseg.batch.summary import DONE, FAILED, LOOK, METHOD, Row
from wmhseg.batch.task import Task
from wmhseg.io import looks


def double(number: int) -> Any:
    """Twice a number; 13 kills the process, 14 ends it, 15 raises."""
    if number == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 14:
        os._exit(7)
    if number == 15:
        raise ValueError("fifteen")
    return os.getpid(), 2 * number


def sleep(path: str) -> None:
    """Says that it has begun, then waits for its end; a file stays only if it is killed hard."""
    part = Path(path)
    try:
        part.write_text("x")
        time.sleep(60)
    finally:
        time.sleep(0.5)  # tidying up takes a while, and must not be cut short
        part.unlink()


def by_name(task: Task) -> Row:
    """Does what the subject's name says."""
    name = task.subject.name
    if name == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "wait":
        Path(task.folder.parent, "waiting").write_text("")
        time.sleep(60)
    if name.startswith("bad"):
        return Row(name, FAILED, exit_code=errors.NotNiftiError.exit_code, error="not NIfTI")
    return Row(name, DONE, 1.5, 3, 0.1, ("a warning",), 0)


def stamped(task: Task) -> Row:
    """As ``by_name``, and leaves what a subject that was segmented leaves."""
    row = by_name(task)
    if row.status == DONE:
        task.folder.mkdir(parents=True, exist_ok=True)
        for path in task.stamp.outputs:
            path.touch()
        seen = {METHOD: task.method_mark, LOOK: looks.look(task.scans)}
        task.stamp.write(task.fingerprint, asdict(row) | seen)
    return row


def slowly(task: Task) -> Row:
    """As ``stamped``, in a while; notes whom it did. "forever" ends at its second call only."""
    out = task.folder.parent
    if task.subject.name == "forever" and not (out / "begun").exists():
        (out / "begun").touch()
        time.sleep(300)
    time.sleep(0.2)
    row = stamped(task)
    with (out / "made").open("a") as file:
        file.write(f"{task.subject.name}\n")
    return row
