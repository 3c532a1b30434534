"""Words for the methods section of a paper about results of the BIDS App."""

from __future__ import annotations

from wmhseg.reporting.report import NOT_A_DEVICE
from wmhseg.version import __version__
from wmhseg.weights import preset as presets
from wmhseg.weights.preset import Preset
from wmhseg.weights.processing import ReaderName

CHALLENGE = (
    "H.J. Kuijf et al. Standardized assessment of automatic segmentation of white matter "
    "hyperintensities and results of the WMH Segmentation Challenge. IEEE Transactions on Medical "
    "Imaging 38 (2019) 2556-2568."
)
BIDS = (
    "K.J. Gorgolewski et al. The brain imaging data structure, a format for organizing and "
    "describing outputs of neuroimaging experiments. Scientific Data 3 (2016) 160044."
)
BIDS_APPS = (
    "K.J. Gorgolewski et al. BIDS apps: Improving ease of use, accessibility, and reproducibility "
    "of neuroimaging data analysis methods. PLOS Computational Biology 13 (2017) e1005209."
)


def references(preset: Preset) -> list[str]:
    """The publications to cite for results of a model."""
    return [preset.reference, CHALLENGE, BIDS, BIDS_APPS]


def boilerplate(preset: Preset, reader: ReaderName, threshold: float | None = None) -> str:
    """Text to paste, in Markdown.

    Args:
        preset: Of the model that was used.
        reader: Whose rules masks are made by.
        threshold: Of the probability, None for the reader's own.
    """
    cut = presets.read_by(preset, reader).threshold if threshold is None else threshold
    networks = len(preset.members)
    many = f"{networks} networks" if networks > 1 else "one network"
    t1 = " and, where there was one, T1-weighted" if preset.takes_t1 else ""
    told = f"{_sentence(preset.description)}; {many}; trained on: {_sentence(preset.training_data)}"
    paragraphs = [
        "# How to cite",
        "These words may be used in a paper as they are. The sidecar of each mask (_mask.json) "
        "says what was done to its scans in particular.",
        "## Methods",
        f"White matter hyperintensities were segmented on FLAIR{t1} scans with wmhseg "
        f"{__version__}, run as a BIDS App [3, 4], and its model {preset.name} ({told}), after the "
        "method of [1]; [2] compares such methods. Voxels whose mean probability "
        f"exceeded {cut:g} were marked (reader: {reader}). Volumes are numbers of voxels times the "
        "volume of a voxel; lesions are groups of voxels that touch, by 26 neighbours.",
        "## References",
        "\n".join(f"{n}. {text}" for n, text in enumerate(references(preset), 1)),
        NOT_A_DEVICE,
    ]
    return "\n\n".join(paragraphs) + "\n"


def _sentence(text: str) -> str:
    """A sentence within another one."""
    return " ".join(text.split()).rstrip(".")
