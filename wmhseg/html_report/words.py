"""Words for the methods section of a paper, and the references that they need.

Made of the report beside a mask, so that they fit results of any version and model; ``bids_app``
has words of its own for whole data sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wmhseg.errors import WmhsegError
from wmhseg.html_report.facts import Facts
from wmhseg.measures import fazekas
from wmhseg.version import __version__
from wmhseg.weights import store

CHALLENGE = (
    "H.J. Kuijf et al. Standardized assessment of automatic segmentation of white matter "
    "hyperintensities and results of the WMH Segmentation Challenge. IEEE Transactions on Medical "
    "Imaging 38 (2019) 2556-2568."
)
_STRIVE = (
    "M. Duering et al. Neuroimaging standards for research into small vessel disease: advances "
    "since 2013. Lancet Neurology 22 (2023) 602-618."
)
_PLACES = (
    "L. Griffanti et al. Classification and characterization of periventricular and deep white "
    "matter hyperintensities on MRI. NeuroImage 170 (2018) 174-181."
)
_FAZEKAS = (
    "F. Fazekas et al. MR signal abnormalities at 1.5 T in Alzheimer's dementia and normal aging. "
    "AJR 149 (1987) 351-356."
)
_DISAGREEMENT = (
    "N. Molchanova et al. Structural-based uncertainty in deep learning across anatomical scales. "
    "Computers in Biology and Medicine 184 (2025) 109336."
)
_VIEWER = "NiiVue, https://github.com/niivue/niivue (shows the scans in the report)."


def methods(facts: Facts) -> tuple[str, list[str]]:
    """What was done, ready to paste.

    Args:
        facts: Of the page.

    Returns:
        Sentences with numbers in brackets, and the references of these numbers in their order.
    """
    cited: list[str] = []

    def cite(reference: str) -> str:
        if reference not in cited:
            cited.append(reference)
        return f"[{cited.index(reference) + 1}]"

    sentences = _segmented(facts.told, cite)
    sentences += _measured(facts, cite)
    cite(_VIEWER)
    return " ".join(sentences), cited


def _segmented(told: Mapping[str, Any] | None, cite: Any) -> list[str]:
    if told is None:
        return [
            "White matter hyperintensities were segmented on FLAIR scans by (name the method: no "
            "report lies beside this mask)."
        ]
    versions = told.get("versions")
    version = versions.get("wmhseg") if isinstance(versions, dict) else None
    members = told.get("members")
    count = len(members) if isinstance(members, list) else 0
    many = f"{count} networks" if count > 1 else "one network"
    t1 = " and T1-weighted" if told.get("t1_used") is True else ""
    reference = _reference(told.get("model"))
    after = f", after the method of {cite(reference)}" if reference else ""
    sentences = [
        f"White matter hyperintensities were segmented on FLAIR{t1} scans with wmhseg "
        f"{version or __version__} and its model {told.get('model')} ({many}){after}; "
        f"{cite(CHALLENGE)} compares such methods."
    ]
    threshold = told.get("threshold")
    if isinstance(threshold, (int, float)):
        sentences.append(
            f"Voxels whose mean probability exceeded {threshold:g} were marked (reader: "
            f"{told.get('reader', 'balanced')})."
        )
    return sentences


def _reference(model: object) -> str | None:
    """The publication of a model, if it is installed."""
    try:
        installed = store.all_models()
    except WmhsegError:
        return None
    return next((one.preset.reference for one in installed if one.preset.name == model), None)


def _measured(facts: Facts, cite: Any) -> list[str]:
    measures = facts.measures
    sentences = [
        "Volumes are numbers of voxels times the volume of a voxel; lesions are groups of voxels "
        f"that touch, by 26 neighbours (wmhseg {__version__})."
    ]
    if measures.excluded is not None:
        sentences.append("What lay within a mask of other pathology was not counted.")
    if measures.placed is not None:
        sentences.append(
            "Lesions were called periventricular by continuity with a lateral ventricle, by 10 mm "
            f"and by 2 mm of distance {cite(_PLACES)}; those of deep grey matter and brainstem "
            f"are counted apart, as STRIVE does {cite(_STRIVE)}."
        )
        sentences.append(
            f"Fazekas grades {cite(_FAZEKAS)} are estimates by size ({fazekas.RULE}), not ratings."
        )
    if measures.curve:
        low, high = (point.threshold for point in measures.between)
        sentences.append(
            f"The range of the volume is that at thresholds of {low:g} and {high:g} of the "
            "probability."
        )
    if measures.disagreement is not None:
        sentences.append(
            "The uncertainty of a lesion is the structural disagreement of the networks "
            f"{cite(_DISAGREEMENT)}."
        )
    if measures.brain is not None:
        sentences.append(
            "Centres in MNI space were found by a registration of nine numbers to an average brain."
        )
    return sentences
