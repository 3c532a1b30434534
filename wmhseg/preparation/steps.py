"""Which steps are taken on scans as the scanner gave them. Light: nothing is computed here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from wmhseg.errors import UsageError

PRESET: Final = "preset"
"""A switch that nobody has set: the model's preset decides."""

LEAST_PIXEL_MM, LARGEST_PIXEL_MM = 0.3, 3.0
"""Pixels that may be asked for."""

PUBLISHED = "a published method: nothing is added to it unless asked for"
"""Why a step that nobody has set is not taken."""


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Which steps are taken on scans as the scanner gave them.

    "preset" is what the model's preset says, in every command: "auto" for this project's own
    models, "off" for published methods, to which nothing is added unless it is asked for.

    Attributes:
        reorient: "auto" turns axes to the model's; "off" takes the array as it is stored.
        pixel_size: "auto" brings unusual pixels to 1 mm, and those at which the brain would not
            fit into the network's field to larger ones; "off" never; a number: to pixels of so
            many mm, 0.3 to 3.
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
    wmhseg.errors.UsageError: pixel_size "preset" or "auto" or "off" or a number from 0.3 to 3 was \
expected. Received: 2 mm.
    """

    reorient: Literal["preset", "auto", "off"] = "preset"
    pixel_size: Literal["preset", "auto", "off"] | float = "preset"
    bias_correction: Literal["preset", "auto", "on", "off"] = "preset"
    registration: Literal["preset", "auto", "on", "header", "off"] = "preset"
    on_registration_failure: Literal["error", "flair-only"] = "error"

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            UsageError: If a value is not one of the documented ones.
        """
        for name, allowed in SWITCHES.items():
            value = getattr(self, name)
            if name == "pixel_size" and _is_pixel(value):
                continue
            if value not in allowed:
                more = " or a number from 0.3 to 3" if name == "pixel_size" else ""
                raise UsageError(
                    f"{name} " + " or ".join(f'"{a}"' for a in allowed) + f"{more} was expected",
                    received=value,
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


def _is_pixel(value: object) -> bool:
    return isinstance(value, (int, float)) and LEAST_PIXEL_MM <= value <= LARGEST_PIXEL_MM


def _choices(hint: Any) -> tuple[str, ...]:
    """The words of a hint, which may allow a number as well."""
    words = hint if get_origin(hint) is Literal else get_args(hint)[0]
    return get_args(words)


SWITCHES: dict[str, tuple[str, ...]] = {
    name: _choices(hint) for name, hint in get_type_hints(Steps).items()
}
"""Step -> what it may be set to."""
