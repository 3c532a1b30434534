"""Which steps are taken on scans as the scanner gave them. Light: nothing is computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args, get_type_hints

from wmhseg.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Which steps are taken on scans as the scanner gave them.

    Attributes:
        reorient: "auto" turns axes to the model's; "off" takes the array as it is stored.
        pixel_size: "auto" brings unusual pixels to 1 mm; "off" never.
        bias_correction: "auto" corrects a pair on two grids; "on" always, "off" never.
        registration: "auto" registers T1 on another grid than FLAIR's; "on" also T1 on the same
            grid; "header" believes the headers and only resamples; "off" refuses two grids.
        on_registration_failure: What happens when the pair does not match: "error", or
            "flair-only" to go on without T1, with a warning.

    >>> import wmhseg
    >>> wmhseg.Steps(bias_correction="on").registration
    'auto'
    >>> wmhseg.Steps(pixel_size="2 mm")
    Traceback (most recent call last):
    wmhseg.errors.UsageError: pixel_size "auto" or "off" was expected. Received: 2 mm.
    """

    reorient: Literal["auto", "off"] = "auto"
    pixel_size: Literal["auto", "off"] = "auto"
    bias_correction: Literal["auto", "on", "off"] = "auto"
    registration: Literal["auto", "on", "header", "off"] = "auto"
    on_registration_failure: Literal["error", "flair-only"] = "error"

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            UsageError: If a value is not one of the documented ones.
        """
        for name, allowed in SWITCHES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{name} " + " or ".join(f'"{a}"' for a in allowed) + " was expected",
                    received=getattr(self, name),
                )


SWITCHES: dict[str, tuple[str, ...]] = {
    name: get_args(hint) for name, hint in get_type_hints(Steps).items()
}
"""Step -> what it may be set to."""

PREPARED = Steps(pixel_size="off", bias_correction="off", registration="off")
"""For scans that are known to be prepared, as in the challenge's layout: nothing is done that the
published programs do not do."""
