"""A result that has just been computed, as a ``Scene``; of files only its T1 is read once more."""

from __future__ import annotations

from wmhseg.measures.anatomy import of_model
from wmhseg.measuring import other_scan
from wmhseg.measuring.scene import Scene
from wmhseg.preparation import wrapped
from wmhseg.segmentation import temperature
from wmhseg.segmentation.result import Segmentation


def scene(result: Segmentation) -> Scene:
    """What is measured of a result.

    Args:
        result: What was computed. Members are compared if it holds what they said, lesions are
            placed if it holds the anatomy, and T1 helps to place the scan if there was one.

    Raises:
        InputError: If the file of T1 cannot be read once more.
    """
    named = result.anatomy
    flair, said = wrapped.repaired(result.flair)
    t1, left_out, more = other_scan.of_result(result, flair)
    return Scene(
        flair=flair,
        mask=result.mask,
        probability=result.probability,
        members=result.members,
        threshold=temperature.threshold(
            result.report.model.postprocessing.threshold, result.report.temperature
        ),
        anatomy=None if named is None else of_model(named.labels, named.model),
        t1=t1,
        left_out=tuple(left_out),
        warnings=(*said, *more),
    )
