"""A result that has just been computed, as a ``Scene``: nothing is read from files."""

from __future__ import annotations

from wmhseg.measures.anatomy import Anatomy
from wmhseg.measuring.scene import OtherScan, Scene
from wmhseg.segmentation import temperature
from wmhseg.segmentation.result import Segmentation


def scene(result: Segmentation, t1: OtherScan | None = None) -> Scene:
    """What is measured of a result.

    Args:
        result: What was computed. Members are compared if it holds what they said, and lesions are
            placed if it holds the anatomy.
        t1: The T1 scan, if somebody needs it.
    """
    named = result.anatomy
    return Scene(
        flair=result.flair,
        mask=result.mask,
        probability=result.probability,
        members=result.members,
        threshold=temperature.threshold(
            result.report.model.postprocessing.threshold, result.report.temperature
        ),
        anatomy=None if named is None else Anatomy(named.labels, f"model {named.model.name}"),
        t1=t1,
    )
