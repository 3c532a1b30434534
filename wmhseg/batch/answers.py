"""What is written about a subject's result besides its mask: measures, structures and a page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wmhseg.batch.summary import MEASURES
from wmhseg.html_report import of_result, single
from wmhseg.html_report.facts import Facts
from wmhseg.measuring import content, measure, saving
from wmhseg.measuring import of_result as of_segmentation
from wmhseg.measuring.measure import Measures
from wmhseg.measuring.scene import Wanted
from wmhseg.reporting import earlier
from wmhseg.segmentation import anatomy
from wmhseg.segmentation.options import Options
from wmhseg.segmentation.result import Segmentation


def options_for(options: Options, *, measures: bool, page: bool) -> Options:
    """The options with what measures and pages need: what each network says, and structures.

    Args:
        options: Of the segmentation.
        measures: Whether measures are written, and
        page: whether a page is.

    Raises:
        ModelError: The model of structures is damaged.
    """
    if not (measures or page):
        return options
    return replace(options, members=True, anatomy=anatomy.installed() is not None)


def without(options: Options) -> Options:
    """The options without what changes no mask."""
    return replace(options, threads=None, batch=None, members=False, anatomy=False)


def files_in(folder: Path, *, structures: bool) -> tuple[Path, ...]:
    """What ``save`` writes.

    Args:
        folder: Where to.
        structures: Whether there is a label map of structures.
    """
    made = saving.outputs(folder, Wanted(), curve=True, regions=False, anatomy=structures)
    return (*made.values(), folder / saving.REPORT)


def left_over(folder: Path, scans: Iterable[Path]) -> list[Path]:
    """The measures of an outdated result in a folder, as they were written.

    Args:
        folder: Of the subject.
        scans: What is read: never removed.
    """
    told = folder / saving.REPORT
    named = earlier.left_behind(told, {}, scans, (*earlier.WRITTEN, ".tsv"))
    # Earlier versions did not name the label map of structures in the report.
    return [*dict.fromkeys([*named, folder / saving.STRUCTURES, told])] if named else []


@dataclass(frozen=True, eq=False)
class Answered:
    """A result that has been measured.

    Attributes:
        result: It, with a report that has the warnings of its measures and names its page, if
            there is one.
        measures: Of it.
        about: What the page tells; None without a page.
    """

    result: Segmentation
    measures: Measures
    about: Facts | None = None

    def save(self, folder: Path) -> None:
        """Writes the measures and, if they are known, the structures; all files or none.

        Args:
            folder: Where to.
        """
        saving.save(self.measures, folder, self.result.report.provenance)

    def save_page(self, path: Path) -> None:
        """Writes the page, if there is one."""
        if self.about is not None:
            single.write(path, self.about)

    def main(self) -> dict[str, float]:
        """The figures that the table of everybody shows, as far as they are known."""
        row: dict[str, Any] = content.scan_row(self.measures)
        return {name: row[name] for name in MEASURES if row[name] is not None}


def answered(result: Segmentation, mask: Path, page: Path | None, name: str) -> Answered:
    """Measures a result.

    Args:
        result: What was computed; a T1 scan that was given in a file is read once more.
        mask: Where the mask will be written, and
        page: where a page will; None: nowhere.
        name: The title of the page.

    Raises:
        WmhsegError: As of ``measuring.measure.measure``.
    """
    if page is None:
        measures = measure.measure(of_segmentation.scene(result))
        return Answered(of_result.with_warnings(result, measures), measures)
    told, about = of_result.with_page(result, mask, page, name)
    return Answered(told, about.measures, about)
