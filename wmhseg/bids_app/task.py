"""One scan of the BIDS App: a task of ``batch`` that writes derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wmhseg import records
from wmhseg.batch import answers
from wmhseg.batch.summary import stamp_in
from wmhseg.batch.task import PICTURES, Task, remove_if_empty
from wmhseg.bids_app import measures, sidecars, tables
from wmhseg.bids_app.names import Places
from wmhseg.errors import MissingFileError
from wmhseg.io import files, volume_files
from wmhseg.io.stamps import Stamp
from wmhseg.measuring import content, saving
from wmhseg.measuring.scene import Wanted
from wmhseg.reporting.report import Report, path_beside
from wmhseg.segmentation.result import Segmentation


def _stamp(folder: Path, places: Places) -> Stamp:
    """What every result has."""
    images_of = (places.mask, places.probability, places.lesions)
    sidecars_of = (path_beside(image) for image in images_of)
    tables_of = (places.lesion_table, *_measured(folder).values())
    return Stamp(stamp_in(folder).path, (*images_of, *sidecars_of, *tables_of))


def _measured(folder: Path) -> dict[str, Path]:
    """The measures that have no name in BIDS: they go where the stamp is."""
    named = saving.outputs(folder, Wanted(), curve=True, regions=False)
    return {
        "scan": named["scan"], "curve": named["curve"], "measures": folder / saving.REPORT
    }  # fmt: skip


@dataclass(frozen=True)
class DerivativesTask(Task):
    """As ``Task``. The folder, of the stamp alone, is ``<derivatives>/logs/<scan>``."""

    @property
    def places(self) -> Places:
        """The files of the result."""
        return Places(self.folder.parent.parent, self.subject.name)

    @property
    def mask(self) -> Path:
        """The mask of WMH."""
        return self.places.mask

    @property
    def overlay(self) -> Path | None:
        """The picture to write, if any."""
        return self.places.picture(self.picture) if self.picture else None

    @property
    def other_masks(self) -> dict[str, Path]:
        """Label besides WMH -> its mask to write."""
        return {label: self.places.other_mask(label) for label in self.others}

    @property
    def stamp(self) -> Stamp:
        """What says that all is complete, and what it was made from."""
        stamp = _stamp(self.folder, self.places)
        drawn = () if self.overlay is None else (self.overlay,)
        masks = self.other_masks.values()
        pages = (self.places.page,) if self.page else ()
        named = self._of_structures() if self.options.anatomy else ()
        more = (*drawn, *pages, *named, *masks, *(path_beside(mask) for mask in masks))
        return replace(stamp, outputs=(*stamp.outputs, *more))

    def _of_structures(self) -> tuple[Path, ...]:
        """The files of structures, where they are named."""
        image = self.places.structures
        return image, path_beside(image), self.places.structure_table

    @staticmethod
    def stamp_in(folder: Path) -> Stamp:
        """The stamp in a folder of ``logs``."""
        return _stamp(folder, Places(folder.parent.parent, folder.name))

    def save(self, segmentation: Segmentation) -> tuple[Report, dict[str, float]]:
        """Writes all files of the result, or none.

        Returns:
            The report as it was written, and the main figures of the measures.
        """
        places, flair = self.places, self.subject.flair
        if flair is None:
            raise MissingFileError("A FLAIR scan was expected", received=self.subject.problem)
        scans = [flair]
        if segmentation.report.t1_used and self.subject.t1 is not None:
            scans.append(self.subject.t1)
        page = places.page if self.page else None
        made = answers.answered(segmentation, self.mask, page, self.subject.name)
        report = made.result.report
        of_bids = sidecars.of_mask("white matter hyperintensities", flair, scans)
        more = {**report.more, **measures.of_result(made.measures), **of_bids}
        told = replace(made.result, report=replace(report, more=more))
        with files.together():
            told.save(self.mask, places.probability, self.overlay, others=self.other_masks)
            texts = {path_beside(places.probability): sidecars.of_probability(flair, scans)}
            for label, mask in self.other_masks.items():
                texts[path_beside(mask)] = sidecars.of_mask(label, flair, scans)
            texts[path_beside(places.lesions)] = sidecars.of_lesions(places, flair)
            if told.anatomy is not None:
                texts[path_beside(places.structures)] = sidecars.of_structures(
                    told.anatomy.model.name, flair, scans
                )
            for path, said in texts.items():
                files.write_text(path, records.json_text(said))
            if page is not None:
                made.save_page(page)
            self._save_measures(made)
        return told.report, made.main()

    def _save_measures(self, made: answers.Answered) -> None:
        """Writes lesions, structures, and what has no name in BIDS."""
        places, measured = self.places, made.measures
        grid, header = made.result.grid, made.result.flair.header
        lesions, named = measures.lesions_of(measured), made.result.anatomy
        volume_files.write_volume(places.lesions, lesions.labels, grid, header)
        tables.write_table(places.lesion_table, list(measures.LESION_COLUMNS), lesions.rows)
        if named is not None:
            volume_files.write_volume(places.structures, named.labels, grid, header)
            rows = measures.structure_rows(named)
            tables.write_table(places.structure_table, list(measures.STRUCTURE_COLUMNS), rows)
        targets = _measured(self.folder)
        path = targets.pop("measures")
        files.write_text(targets["scan"], content.to_tsv([content.scan_row(measured)]))
        files.write_text(targets["curve"], content.to_tsv(content.curve_rows(measured)))
        targets |= {"lesions": places.lesion_table, "lesion_map": places.lesions}
        if named is not None:
            targets["anatomy"] = places.structures
        files.write_text(path, saving.text(measured, made.result.report.provenance, targets, path))

    def tidy(self) -> None:
        """Leaves no folder that holds nothing."""
        places = self.places
        for folder in (self.folder, places.folder, places.session_folder):
            remove_if_empty(folder)
        if places.session_folder.parent != places.root:
            remove_if_empty(places.session_folder.parent)

    def left_over(self) -> list[Path]:
        """As of ``Task``, with the sidecars of masks."""
        drawn = [self.places.picture(name) for name in PICTURES]
        named = super().left_over()
        made = (self.places.page, *self._of_structures())
        return [*drawn, *made, *named, *map(path_beside, named)]
