"""The models of this project: what each is, told where it is not installed.

The package from a registry carries the default model alone, so that it stays small.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class KnownModel:
    """A model of this project, installed or not.

    Attributes:
        name: Of the model, and of its folder.
        what: One sentence.
        size_mb: Of its folder, about.
        others: Labels besides WMH that it marks.
        anatomical: Whether it names the structures of a head, and marks nothing.
    """

    name: str
    what: str
    size_mb: int
    others: tuple[str, ...] = ()
    anatomical: bool = False


KNOWN = (
    KnownModel("mixed-tuned", "U-Nets and a Stack-Net, four; FLAIR and T1, or FLAIR alone.", 71),
    KnownModel("unet-synthetic", "Three U-Nets; FLAIR and T1, or FLAIR alone.", 52),
    KnownModel("mixed-synthetic", "U-Nets and Stack-Nets, five; FLAIR and T1, or FLAIR alone.", 90),
    KnownModel("stacknet-synthetic", "Two Stack-Nets; FLAIR and T1, or FLAIR alone.", 38),
    KnownModel("vgg-synthetic", "VGG top-hat network; FLAIR and T1, or FLAIR alone.", 16),
    KnownModel("uresnet-synthetic", "uResNet for WMH and stroke; FLAIR alone.", 2, ("stroke",)),
    KnownModel("location-synthetic", "Network told of places; FLAIR and T1, or FLAIR alone.", 1),
    KnownModel("anatomy-synthetic", "U-Net that names structures of a head.", 18, anatomical=True),
)

WHERE = (
    '"wmhseg models get NAME" fetches it. It is also in a clone of the project (models/) and in '
    "the full Docker image; put its folder where $WMHSEG_MODELS points to, or name the folder."
)
"""Where a known model NAME is that is not installed."""


def where(name: str) -> str:
    """How a known model is got that is not installed."""
    return WHERE.replace("NAME", name)


def find(name: str) -> KnownModel | None:
    """The model of a name, None if it is none of this project's."""
    return next((model for model in KNOWN if model.name == name), None)
