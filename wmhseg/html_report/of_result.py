"""The facts of a result that has just been computed, before it is written."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from wmhseg.html_report import facts
from wmhseg.html_report.facts import Facts, Origin
from wmhseg.io import checksums, files, images
from wmhseg.measuring import of_result
from wmhseg.measuring.measure import Measures
from wmhseg.reporting import earlier
from wmhseg.reporting.report import path_beside
from wmhseg.segmentation.result import Segmentation


def with_page(
    result: Segmentation, mask: Path, page: Path, name: str
) -> tuple[Segmentation, Facts]:
    """A result whose report names its page, and what that page tells.

    Args:
        result: What was computed.
        mask: Where the mask will be written, and
        page: where the page will.
        name: The title of the page.

    Returns:
        The result, with the warnings of its measures, and the facts of the page.

    Raises:
        WmhsegError: As of ``facts.gather``.
    """
    more = {**result.report.more, earlier.PAGE: earlier.relative(page, path_beside(mask))}
    told = replace(result, report=replace(result.report, more=more))
    about = replace(gather(told, mask.name), name=name)
    return with_warnings(told, about.measures), about


def with_warnings(result: Segmentation, measures: Measures) -> Segmentation:
    """A result whose report says what speaks against its measures, too.

    So that it stands wherever warnings of a result do: beside the mask, in tables, on the page of
    many results.

    Args:
        result: What was computed.
        measures: Of it.
    """
    said = dict.fromkeys([*result.report.warnings, *measures.warnings])
    return replace(result, report=replace(result.report, warnings=tuple(said)))


def gather(result: Segmentation, name: str) -> Facts:
    """Measures a result and looks its scans over.

    Args:
        result: What was computed; the file of its T1 is read once more.
        name: Of the mask's file; the title of the page.

    Raises:
        WmhsegError: As of ``facts.gather``.
    """
    report = result.report
    scene = of_result.scene(result)
    origin = Origin(name, report.provenance, report.to_dict(), _checksum(result, name))
    return facts.gather(scene, origin, result.others)


def _checksum(result: Segmentation, name: str) -> str:
    """That of the file of the mask, as it will be written: equal masks make equal files."""
    with tempfile.TemporaryDirectory() as made, files.at_once():
        path = Path(made) / name
        images.write_mask(path, result.mask, result.grid, result.flair.header)
        return checksums.sha256_of(path)
