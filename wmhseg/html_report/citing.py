"""Sentences about how masks and measures are made, each with the publications that it rests on.

Pages about one result and the citation of whole data sets are made of them, so that both name the
same rules and the same sources. docs/measures.md tells users the source of every rule.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass

from wmhseg.measures import fazekas
from wmhseg.measures.places import NEAR_MM, SHIVAI_MM

CHALLENGE = (
    "H.J. Kuijf et al. Standardized assessment of automatic segmentation of white matter "
    "hyperintensities and results of the WMH Segmentation Challenge. IEEE Transactions on Medical "
    "Imaging 38 (2019) 2556-2568."
)
_KIM = (
    "K.W. Kim et al. Classification of white matter lesions on magnetic resonance imaging in "
    "elderly persons. Biological Psychiatry 64 (2008) 273-280."
)
_GRIFFANTI = (
    "L. Griffanti et al. Classification and characterization of periventricular and deep white "
    "matter hyperintensities on MRI. NeuroImage 170 (2018) 174-181."
)
_DECARLI = (
    "C. DeCarli et al. Anatomical mapping of white matter hyperintensities (WMH): exploring the "
    "relationships between periventricular WMH, deep WMH, and total WMH burden. Stroke 36 (2005) "
    "50-55."
)
_SHIVAI = "SHiVAi, https://github.com/pboutinaud/SHiVAi."
_FILIPPI = (
    "M. Filippi et al. Assessment of lesions on magnetic resonance imaging in multiple sclerosis: "
    "practical guidelines. Brain 142 (2019) 1858-1875."
)
_STRIVE = (
    "J.M. Wardlaw et al. Neuroimaging standards for research into small vessel disease and its "
    "contribution to ageing and neurodegeneration. Lancet Neurology 12 (2013) 822-838.",
    "M. Duering et al. Neuroimaging standards for research into small vessel disease: advances "
    "since 2013. Lancet Neurology 22 (2023) 602-618.",
)
_FAZEKAS = (
    "F. Fazekas et al. MR signal abnormalities at 1.5 T in Alzheimer's dementia and normal aging. "
    "AJR 149 (1987) 351-356."
)
_NOH = (
    "Y. Noh et al. A new classification system for ischemia using a combination of deep and "
    "periventricular white matter hyperintensities. Journal of Stroke and Cerebrovascular Diseases "
    "23 (2014) 636-642."
)
_JOO = (
    "L. Joo et al. Diagnostic performance of deep learning-based automatic white matter "
    "hyperintensity segmentation for classification of the Fazekas scale and differentiation of "
    "subcortical vascular dementia. PLoS ONE 17 (2022) e0274562."
)
_RANGES = "Abstract TP208 of the International Stroke Conference. Stroke 51, suppl. 1 (2020) TP208."
_DISAGREEMENT = (
    "N. Molchanova et al. Structural-based uncertainty in deep learning across anatomical scales. "
    "Computers in Biology and Medicine 184 (2025) 109336."
)

PLACES = {
    "continuity": ("by continuity with a lateral ventricle", (_KIM, _GRIFFANTI)),
    "10mm": (f"by a distance to it of at most {NEAR_MM:g} mm, voxel by voxel",
             (_DECARLI, _GRIFFANTI)),
    "2mm": (f"by coming to within {SHIVAI_MM:g} mm of it", (_SHIVAI,)),
}  # fmt: skip
"""Rule of ``measures.places`` -> how it calls lesions periventricular, and its sources."""


_COUNTED = {
    "scan": ", counted of all slices of the scan",
    "head": ", counted of all slices of the scan or, where empty ones pad it, of those that hold "
    "the head",
}
# Reports of version 0.2.0 and before do not tell which.
_PERHAPS = " (where empty slices pad the scan, some models count those that hold the head alone)"


class References:
    """The references of a text, numbered in the order in which they are first cited."""

    def __init__(self) -> None:
        """Begins with none."""
        self.listed: list[str] = []

    def __call__(self, *references: str) -> str:
        """Cites some: their numbers, in brackets."""
        for one in references:
            if one not in self.listed:
                self.listed.append(one)
        numbers = sorted(self.listed.index(one) + 1 for one in references)
        return f"[{', '.join(map(str, numbers))}]"


def marked(reader: object, numbers: Mapping[str, object]) -> list[str]:
    """How a mask is made of a probability map: all rules that take part, and no others.

    Args:
        reader: Whose rules.
        numbers: "threshold", "lesion_peak", "min_lesion_mm3" and "end_slices", as reports have
            them; what is missing, 0 or no number is left out. "end_slices_of" likewise, which
            reports of version 0.2.0 and before do not tell.
    """
    sentences = []
    threshold = number(numbers, "threshold")
    if threshold is not None:
        sentences.append(
            f"Voxels whose mean probability exceeded {threshold:g} were marked (reader: {reader})."
        )
    peak, smallest = number(numbers, "lesion_peak"), number(numbers, "min_lesion_mm3")
    removed = []
    if peak:
        removed.append(f"lesions without a voxel above {peak:g}")
    if smallest:
        removed.append(f"lesions smaller than {smallest:g} mm3")
    if removed:
        words = " and ".join(removed)
        sentences.append(f"{words[:1].upper()}{words[1:]} were removed.")
    ends = number(numbers, "end_slices")
    if ends:
        counted = str(numbers.get("end_slices_of"))
        sentences.append(
            f"The outermost {100 * ends:.4g} % of the slices at either end were left empty"
            f"{_COUNTED.get(counted, _PERHAPS)}."
        )
    return sentences


def number(numbers: Mapping[str, object], name: str) -> float | None:
    """A number of a file that anybody may have written; None if it is none, or below 0.

    JSON's integers may be too large for a float; they are compared first.
    """
    value = numbers.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 <= value <= sys.float_info.max else None


@dataclass(frozen=True)
class Measured:
    """What was measured, as far as words about it differ.

    Attributes:
        placed: Whether lesions were placed in the anatomy.
        thresholds: Between which the range of the volume lies; None where it is not known.
        members: Whether networks were compared.
        in_mni: Whether centres in MNI space were found.
        excluded: Whether some voxels were not to count.
    """

    placed: bool
    thresholds: tuple[float, float] | None = None
    members: bool = False
    in_mni: bool = False
    excluded: bool = False


def measured(what: Measured, version: str, cite: References) -> list[str]:
    """How the measures are made."""
    sentences = [
        "Volumes are numbers of voxels times the volume of a voxel; lesions are groups of voxels "
        f"that touch, by 26 neighbours {cite(CHALLENGE)} (wmhseg {version})."
    ]
    if what.excluded:
        sentences.append("What lay within a mask of other pathology was not counted.")
    if what.placed:
        ways = [f"{words} {cite(*sources)}" for words, sources in PLACES.values()]
        sentences += [
            f"Lesions were called periventricular {', '.join(ways[:-1])} and {ways[-1]}; of the "
            "others those that touch the cortex and no lateral ventricle were called juxtacortical "
            f"{cite(_FILIPPI)}.",
            "Those of deep grey matter and brainstem are counted apart, as STRIVE does "
            f"{cite(*_STRIVE)}.",
        ]
    sentences.append(_grades(cite, placed=what.placed))
    # The rules on lesions have no part in what follows.
    before = "counted before any lesion was removed"
    if what.thresholds is not None:
        low, high = what.thresholds
        sentences.append(
            f"The range over thresholds is that of {low:g} and {high:g} of the probability, "
            f"{before}."
        )
    if what.members:
        sentences.append(
            f"The range over networks is that of what each marks by itself, {before}; the "
            "uncertainty of a lesion is the structural disagreement of the networks "
            f"{cite(_DISAGREEMENT)}."
        )
    if what.in_mni:
        sentences.append(
            "Centres in MNI space were found by a registration of nine numbers to an average brain."
        )
    return sentences


def _grades(cite: References, *, placed: bool) -> str:
    by_size = f"by size ({fazekas.RULE}) {cite(_FAZEKAS, _NOH)}, " if placed else ""
    return (
        f"Fazekas grades {cite(_FAZEKAS)} are estimates and not ratings: {by_size}by cut-offs of "
        f"the volume ({fazekas.VOLUME_RULE}) {cite(_JOO)}, and by the volumes seen in patients of "
        f"each grade ({fazekas.RANGES_RULE}) {cite(_RANGES)}."
    )


def named(model: str, reference: str | None, cite: References) -> str:
    """Which model has named the structures of the head.

    Args:
        model: Its name.
        reference: Its publication, if that is known.
        cite: Of the text.
    """
    after = f", after the method of {cite(reference)}" if reference else ""
    return f"Structures of the head were named by the model {model}{after}."
