"""One scan of the BIDS App: a task of ``batch`` that writes derivatives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from wmhseg import records
from wmhseg.batch.summary import stamp_in
from wmhseg.batch.task import PICTURES, Task, remove_if_empty
from wmhseg.bids_app import measures, sidecars, tables
from wmhseg.bids_app.names import Places
from wmhseg.errors import MissingFileError
from wmhseg.io import files, volume_files
from wmhseg.io.stamps import Stamp
from wmhseg.reporting.report import path_beside
from wmhseg.segmentation.result import Segmentation


def _stamp(folder: Path, places: Places) -> Stamp:
    """What every result has."""
    images_of = (places.mask, places.probability, places.lesions)
    sidecars_of = (path_beside(image) for image in images_of)
    return Stamp(stamp_in(folder).path, (*images_of, *sidecars_of, places.lesion_table))


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
        more = (*drawn, *masks, *(path_beside(mask) for mask in masks))
        return replace(stamp, outputs=(*stamp.outputs, *more))

    @staticmethod
    def stamp_in(folder: Path) -> Stamp:
        """The stamp in a folder of ``logs``."""
        return _stamp(folder, Places(folder.parent.parent, folder.name))

    def save(self, segmentation: Segmentation) -> None:
        """Writes all files of the result, or none."""
        places, flair = self.places, self.subject.flair
        if flair is None:
            raise MissingFileError("A FLAIR scan was expected", received=self.subject.problem)
        scans = [flair]
        if segmentation.report.t1_used and self.subject.t1 is not None:
            scans.append(self.subject.t1)
        lesions = measures.lesions_of(segmentation)
        of_bids = sidecars.of_mask("white matter hyperintensities", flair, scans)
        more = {**measures.of_result(segmentation), **of_bids}
        told = replace(segmentation, report=replace(segmentation.report, more=more))
        with files.together():
            told.save(self.mask, places.probability, self.overlay, others=self.other_masks)
            texts = {path_beside(places.probability): sidecars.of_probability(flair, scans)}
            for label, mask in self.other_masks.items():
                texts[path_beside(mask)] = sidecars.of_mask(label, flair, scans)
            texts[path_beside(places.lesions)] = sidecars.of_lesions(places, flair)
            for path, content in texts.items():
                files.write_text(path, records.json_text(content))
            grid, header = segmentation.grid, segmentation.flair.header
            volume_files.write_volume(places.lesions, lesions.labels, grid, header)
            tables.write_table(places.lesion_table, list(measures.LESION_COLUMNS), lesions.rows)

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
        return [*drawn, *named, *map(path_beside, named)]
