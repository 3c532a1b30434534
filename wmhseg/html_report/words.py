"""Words for the methods section of a paper, and the references that they need.

Made of the report beside a mask, so that they fit results of any version and model; ``bids_app``
has words of its own for whole data sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wmhseg.errors import WmhsegError
from wmhseg.html_report import citing
from wmhseg.html_report.citing import CHALLENGE, Measured, References
from wmhseg.html_report.facts import Facts
from wmhseg.version import __version__
from wmhseg.weights import store

_VIEWER = "NiiVue, https://github.com/niivue/niivue."


def methods(facts: Facts) -> tuple[str, list[str]]:
    """What was done, ready to paste.

    Args:
        facts: Of the page.

    Returns:
        Sentences with numbers in brackets, and the references of these numbers in their order.
    """
    cite = References()
    sentences = _segmented(facts.told, cite)
    sentences += _measured(facts, cite)
    sentences.append(f"The report about the result shows the scans with NiiVue {cite(_VIEWER)}.")
    return " ".join(sentences), cite.listed


def _segmented(told: Mapping[str, Any] | None, cite: References) -> list[str]:
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
    return [
        f"White matter hyperintensities were segmented on FLAIR{t1} scans with wmhseg "
        f"{version or __version__} and its model {told.get('model')} ({many}){after}; "
        f"{cite(CHALLENGE)} compares such methods.",
        *citing.marked(told.get("reader", "balanced"), told),
    ]


def _reference(model: object) -> str | None:
    """The publication of a model, if it is installed."""
    try:
        installed = store.all_models()
    except WmhsegError:
        return None
    return next((one.preset.reference for one in installed if one.preset.name == model), None)


def _measured(facts: Facts, cite: References) -> list[str]:
    measures, sentences = facts.measures, []
    model = facts.anatomy_model
    if model is not None:
        name = str(model["name"])
        sentences.append(citing.named(name, _reference(name), cite))
    elif measures.placed is not None:
        sentences.append("Structures of the head are those of (name where the anatomy is from).")
    low, high = (point.threshold for point in measures.between) if measures.curve else (0.0, 0.0)
    what = Measured(
        placed=measures.placed is not None,
        thresholds=(low, high) if measures.curve else None,
        members=measures.disagreement is not None,
        in_mni=measures.brain is not None,
        excluded=measures.excluded is not None,
    )
    return sentences + citing.measured(what, __version__, cite)
