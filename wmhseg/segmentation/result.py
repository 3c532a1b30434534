"""A finished segmentation, and how it is written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from wmhseg.errors import UsageError
from wmhseg.geometry import Grid
from wmhseg.io import files, images
from wmhseg.io.images import Scan
from wmhseg.io.pictures import check_picture_name, has_pages, write_picture
from wmhseg.io.sources import Image
from wmhseg.preparation import registration
from wmhseg.preparation.registration import T1Place
from wmhseg.reporting import earlier, report
from wmhseg.reporting.report import Report
from wmhseg.segmentation.anatomy import Anatomy
from wmhseg.weights import preset as presets

if TYPE_CHECKING:
    from wmhseg.reporting.sheet import View


@dataclass(frozen=True)
class Segmentation:
    """A finished segmentation on the FLAIR scan's grid.

    Attributes:
        mask: (slice, row, column) uint8, 1 = WMH, in the file's own orientation. ``mask.T`` is
            in the order of nibabel: ``nibabel.Nifti1Image(result.mask.T, flair.affine)``.
        probability: Mean probability of the members, float32, same shape; 0 in the end slices
            and outside the network's field, where nothing is computed.
        grid: Where the voxels lie.
        report: Volume, count, model, versions, timings, warnings.
        flair: The FLAIR scan, for overlays.
        t1_place: Where T1's own voxels lie, None when no T1 was used.
        others: Label besides WMH that the model marks, such as "stroke" -> its mask, as ``mask``;
            empty for models of WMH alone. No voxel is marked in two masks.
        other_probabilities: The same labels -> their mean probability, as ``probability``.
        members: Name of a network -> the probability that it says alone, as ``probability``; empty
            unless ``Options.members`` asked for it.
        anatomy: The structures of the head; None unless ``Options.anatomy`` asked for them and
            they could be named.
        t1: The T1 scan as it was given, where it came from memory; None where there is a file to
            read once more, or no T1.

    >>> import wmhseg
    >>> result = wmhseg.segment("FLAIR.nii.gz")
    >>> result.others  # of a model of WMH alone
    {}
    >>> removed = result.save("out/wmh.nii.gz", overlay="out/wmh.png")  # and out/wmh.json
    >>> volume_ml = float(result.mask.sum()) * result.grid.voxel_ml
    >>> abs(volume_ml - result.report.lesions.volume_ml) < 1e-6
    True
    """

    mask: npt.NDArray[np.uint8]
    probability: npt.NDArray[np.float32]
    grid: Grid
    report: Report
    flair: Scan = field(repr=False)
    t1_place: T1Place | None = field(default=None, repr=False)
    others: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    other_probabilities: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    members: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict, repr=False)
    anatomy: Anatomy | None = field(default=None, repr=False)
    t1: Scan | None = field(default=None, repr=False)

    def to_image(self) -> Image:
        """Returns the mask as a SimpleITK image."""
        return images.to_image(self.mask, self.grid)

    def mask_on_t1(self) -> tuple[npt.NDArray[np.uint8], Grid]:
        """Returns the mask on the T1 scan's own grid, and that grid: voxels that are half WMH.

        Raises:
            UsageError: If no T1 was used.
        """
        if self.t1_place is None:
            raise UsageError("A mask on the T1 grid needs a T1 image", received="none, or not used")
        there = registration.on_t1_grid(self.mask.astype(np.float32), self.grid, self.t1_place)
        return (there > 0.5).astype(np.uint8), self.t1_place.grid

    def overlay(self) -> npt.NDArray[np.uint8]:
        """Draws slices of the FLAIR scan, each without and with the mask outlined.

        docs/picture.md says what is seen, and which slices.

        Returns:
            RGB, (row, column, 3) uint8; of a size that is read without enlarging it.
        """
        from wmhseg.reporting import sheet

        return sheet.one_page(self._view(), report.caption(self.report, self.flair.source))

    def overlay_pages(self) -> list[npt.NDArray[np.uint8]]:
        """As ``overlay``, all slices with marks, on pages of one size."""
        from wmhseg.reporting import sheet

        return sheet.pages(self._view(), report.caption(self.report, self.flair.source))

    def _view(self) -> View:
        """What is drawn."""
        from wmhseg.reporting import sheet

        return sheet.view_of(self.grid, self.flair.array, self.mask, self.others)

    def _check_kept(self, members: Iterable[str]) -> None:
        """Raises UsageError if what a network said is asked for and not there."""
        unknown = [name for name in members if name not in self.members]
        if unknown:
            kept = ", ".join(self.members) or "none (segment with Options(members=True))"
            raise UsageError(f"Networks out of {kept} were expected", received=", ".join(unknown))

    def save(
        self,
        output: str | os.PathLike[str],
        probability: str | os.PathLike[str] | None = None,
        overlay: str | os.PathLike[str] | None = None,
        t1_mask: str | os.PathLike[str] | None = None,
        others: Mapping[str, str | os.PathLike[str]] | None = None,
        members: Mapping[str, str | os.PathLike[str]] | None = None,
    ) -> list[Path]:
        """Writes the mask and the report beside it (``.json``), all files or none.

        Masks and maps of scans that came from files carry the forms of these files to the bit:
        qform, sform, codes, units and voxel sizes. Files of these names are replaced. What an
        earlier run wrote with a mask of this name, as its report says, and this one does not is
        removed: such a picture would show another result.

        Args:
            output: Mask to write, ``.nii.gz`` or ``.nii``; its folder is made if needed.
            probability: Probability map to write as well.
            overlay: Picture to write as well: ``.png`` as ``overlay`` draws it, ``.pdf`` as
                ``overlay_pages`` does.
            t1_mask: Mask on the T1 scan's grid to write as well.
            others: Masks of other labels to write as well: {"stroke": "stroke.nii.gz"}. The mask
                itself holds WMH alone, whatever the model.
            members: Probability maps of single networks to write as well; see ``members`` of the
                result for their names.

        Returns:
            What was removed.

        Raises:
            UsageError: If a name has another ending, the model does not mark such a label, or what
                such a network says was not kept.
            OutputNotWritableError: If a folder cannot be made or written to.
            DiskFullError: If there is no room.
        """
        target, header, others = Path(output), self.flair.header, others or {}
        members = members or {}
        presets.check_marked(self.report.model, others)
        self._check_kept(members)
        beside = report.path_beside(target)
        given = {
            "mask": output,
            "probability": probability,
            "overlay": overlay,
            "mask_on_t1": t1_mask,
            **{f"mask_of_{label}": path for label, path in others.items()},
            **{f"member_{name}": path for name, path in members.items()},
        }
        if overlay is not None:
            check_picture_name(overlay)
        outputs = {what: Path(path) for what, path in given.items() if path is not None}
        for path in outputs.values():
            files.check_writable(path.parent)
        scans = self.report.provenance.scans.values()
        inputs = [Path(scan.path) for scan in scans if scan.path is not None]
        page = self.report.more.get(earlier.PAGE)
        if page is not None:  # whoever names it has written it
            inputs.append(beside.parent / page)
        outdated = earlier.left_behind(beside, outputs, inputs)
        with files.together():
            if probability is not None:
                images.write_probability(probability, self.probability, self.grid, header)
            for name, place in members.items():
                images.write_probability(place, self.members[name], self.grid, header)
            if t1_mask is not None:
                own = self.t1_place.header if self.t1_place is not None else None
                images.write_mask(t1_mask, *self.mask_on_t1(), own)
            for label, place in others.items():
                images.write_mask(place, self.others[label], self.grid, header)
            if overlay is not None:
                pages = self.overlay_pages() if has_pages(overlay) else [self.overlay()]
                write_picture(overlay, *pages)
            files.write_text(beside, self.report.to_json(earlier.named(outputs, beside)))
            images.write_mask(target, self.mask, self.grid, header)
        for path in outdated:
            with contextlib.suppress(OSError):
                path.unlink()
        return [path for path in outdated if not path.exists()]
