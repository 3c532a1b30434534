"""What judges wmhseg. Each module that is a command runs as ``python -m evaluation.NAME``."""

from __future__ import annotations

import sys
from types import TracebackType

from wmhseg import errors


def tell_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints what a user can do something about as ``wmhseg`` does: not as a stack trace.

    Args:
        kind: Class of the error that ends the program.
        error: The error. A package that is not installed counts as one of wmhseg's.
        trace: Where it came from.
    """
    if isinstance(error, ModuleNotFoundError) and error.name:
        error = errors.missing_package(error.name)
    if isinstance(error, errors.WmhsegError):
        print(f"wmhseg: error: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


# While Python looks for the module of "python -m", and at no other time, it is called so.
if sys.argv[:1] == ["-m"]:
    sys.excepthook = tell_in_one_line
