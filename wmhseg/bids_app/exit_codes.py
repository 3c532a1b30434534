"""The exit codes of ``wmhseg bids``: those that the BIDS execution draft gives to such programs.

https://bids.neuroimaging.io/standards/execution, section "Exit codes": 16 to 18 are its own, 64 to
74 those of sysexits. Every other command ends with the codes of ``wmhseg.errors``.
"""

from __future__ import annotations

from collections.abc import Iterable

from wmhseg import errors

USAGE, BAD_DATA, NO_INPUT, CANNOT_CREATE, IO_ERROR = 64, 65, 66, 73, 74

# What is not here and no code of BIDS is a failure of no specified kind, 1.
_CODES: dict[type[errors.WmhsegError], int] = {
    errors.UsageError: USAGE,
    errors.UnknownModelError: USAGE,
    errors.MissingFileError: NO_INPUT,
    errors.UnreadableFileError: NO_INPUT,
    errors.NoCasesError: NO_INPUT,
    errors.InputError: BAD_DATA,
    errors.OutputNotWritableError: CANNOT_CREATE,
    errors.DiskFullError: IO_ERROR,
}
_BY_NUMBER = {
    child.exit_code: _CODES.get(child, code)
    for kind, code in _CODES.items()
    for child in (kind, *kind.__subclasses__())
    if child is not errors.InputError
}
_KEPT = {
    errors.EXIT_OK,
    errors.EXIT_INTERRUPTED,
    errors.EXIT_TERMINATED,
    *(kind.exit_code for kind in errors.BidsError.__subclasses__()),
    *(USAGE, BAD_DATA, NO_INPUT, CANNOT_CREATE, IO_ERROR),
}


def code_of(exit_code: int) -> int:
    """The code to end with, where another command would end with ``exit_code``."""
    if exit_code in _KEPT:
        return exit_code
    return _BY_NUMBER.get(exit_code, errors.EXIT_INTERNAL)


def code_of_all(exit_codes: Iterable[int]) -> int:
    """The code to end with where scans failed, each with a code of its own.

    Returns:
        Theirs if they are of one kind, otherwise 1.
    """
    kinds = {code_of(code) for code in exit_codes} - {errors.EXIT_OK}
    if not kinds:
        return errors.EXIT_OK
    return kinds.pop() if len(kinds) == 1 else errors.EXIT_INTERNAL
