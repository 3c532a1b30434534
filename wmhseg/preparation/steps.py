"""Which steps are taken on scans as the scanner gave them. Light: nothing is computed here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, get_args, get_type_hints

from wmhseg.errors import UsageError

PRESET: Final = "preset"
"""A switch that nobody has set: the model's preset decides."""

PUBLISHED = "a published method: nothing is added to it unless asked for"
"""Why a step that nobody has set is not taken."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Which steps are taken on scans as the scanner gave them.

    "preset" is what the model's preset says, in every command: "auto" for this project's own
    models, "off" for published methods, to which nothing is added unless it is asked for.

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
    'preset'
    >>> wmhseg.Steps(pixel_size="2 mm")
    Traceback (most recent call last):
    wmhseg.errors.UsageError: pixel_size "preset" or "auto" or "off" was expected. Received: 2 mm.
    """

    reorient: Literal["preset", "auto", "off"] = "preset"
    pixel_size: Literal["preset", "auto", "off"] = "preset"
    bias_correction: Literal["preset", "auto", "on", "off"] = "preset"
    registration: Literal["preset", "auto", "on", "header", "off"] = "preset"
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

    def resolved(self, *, published: bool) -> Steps:
        """The steps with every "preset" replaced by what it means.

        Args:
            published: Whether the model's preset is that of a published method.
        """
        means: Literal["auto", "off"] = "off" if published else "auto"
        return replace(
            self,
            reorient=means if self.reorient == PRESET else self.reorient,
            pixel_size=means if self.pixel_size == PRESET else self.pixel_size,
            bias_correction=means if self.bias_correction == PRESET else self.bias_correction,
            registration=means if self.registration == PRESET else self.registration,
        )


SWITCHES: dict[str, tuple[str, ...]] = {
    name: get_args(hint) for name, hint in get_type_hints(Steps).items()
}
"""Step -> what it may be set to."""
