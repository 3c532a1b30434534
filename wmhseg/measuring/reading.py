"""Files of a result and its scans as a ``Scene``: everything is checked before it is measured."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wmhseg import geometry
from wmhseg.datasets import tables
from wmhseg.errors import (
    ConstantImageError,
    GridMismatchError,
    InputError,
    LabelsError,
    RegistrationError,
    TableError,
    UsageError,
)
from wmhseg.geometry import Grid
from wmhseg.io import files, forms, images, nifti
from wmhseg.io.files import PathLike
from wmhseg.io.images import Scan
from wmhseg.io.progress import Progress
from wmhseg.measures import anatomy
from wmhseg.measures.anatomy import Anatomy, Numbers
from wmhseg.measures.atlas import check_labels
from wmhseg.measuring import naming, other_scan
from wmhseg.measuring.scene import Atlas, Float, OtherScan, Scene, Space, Wanted
from wmhseg.preparation import registration, wrapped
from wmhseg.reporting.report import path_beside
from wmhseg.segmentation import temperature

AtlasSpace = Literal["auto", "flair", "t1", "mni"]

AUTO = "auto"
"""In place of a label map of the anatomy: the network names it. ``./auto`` is a file."""

_LARGEST_LABEL = 2**31 - 1
_MAX_BYTES = 1 << 24
_USUAL = 0.5  # threshold of masks of which nobody knows
_HAIR = 1e-3  # probabilities beyond 0 and 1 by less are rounding of a scale factor


@dataclass(frozen=True)
class Paths:
    """The files of a result.

    Attributes:
        flair: The FLAIR scan.
        mask: 0 and 1, on its voxels.
        probability: Probability map, if any.
        members: Probability map of each member, if any.
        t1: T1 scan of the same head, if any.
        anatomy: Label map of the anatomy, if any.
        exclude: Mask of what does not count, if any.
        atlas: Label map of regions, if any, and
        atlas_labels: the table of their names.
        name_structures: Whether the network names the anatomy, in place of a label map.
    """

    flair: Path
    mask: Path
    probability: Path | None = None
    members: tuple[Path, ...] = ()
    t1: Path | None = None
    anatomy: Path | None = None
    exclude: Path | None = None
    atlas: Path | None = None
    atlas_labels: Path | None = None
    name_structures: bool = False

    @classmethod
    def given(
        cls,
        flair: PathLike,
        mask: PathLike,
        members: Iterable[PathLike],
        others: Mapping[str, PathLike | None],
    ) -> Paths:
        """The files as somebody names them.

        Args:
            flair: The FLAIR scan.
            mask: On its voxels.
            members: Probability maps of the members.
            others: Attribute -> file, None if it is not there; the anatomy may be ``AUTO``.
        """
        known = dict(others)
        auto = known.get("anatomy") == AUTO
        if auto:
            known["anatomy"] = None
        return cls(
            Path(flair),
            Path(mask),
            members=tuple(map(Path, members)),
            name_structures=auto,
            **{name: Path(path) for name, path in known.items() if path},
        )

    def named(self) -> dict[str, Path]:
        """What each is, as reports say it -> the file."""
        given = {
            "FLAIR": self.flair,
            "mask": self.mask,
            "probability": self.probability,
            **{f"member {number}": path for number, path in enumerate(self.members)},
            "T1": self.t1,
            "anatomy": self.anatomy,
            "exclude": self.exclude,
            "atlas": self.atlas,
            "atlas labels": self.atlas_labels,
        }
        return {what: path for what, path in given.items() if path is not None}

    def __iter__(self) -> Iterator[Path]:
        """All of them."""
        yield from self.named().values()


def read(
    paths: Paths,
    wanted: Wanted,
    *,
    threshold: float | None = None,
    numbers: Numbers = "own",
    atlas_space: AtlasSpace = "auto",
    progress: Progress | None = None,
) -> Scene:
    """Reads and checks the files of a result, and has its anatomy named if that is wanted.

    T1 is registered to FLAIR where it lies on other voxels.

    Args:
        paths: The files.
        wanted: What is to be made of them.
        threshold: By which the mask was made; None: as the report beside it says, or 0.5.
        numbers: What those of the anatomy mean.
        atlas_space: What the atlas's places mean; "auto": what its grid or its header says.
        progress: Called with (done, total) slices while the network names the anatomy.

    Raises:
        UsageError: If files do not fit together.
        InputError: If one cannot be read, or is not what it should be.
        ModelError: If the model that names the anatomy is not there, or damaged.
    """
    _check_together(paths, wanted, atlas_space)
    if paths.name_structures and numbers != "own":
        raise UsageError(
            "--anatomy FILE was expected with --anatomy-numbers", received=f"--anatomy {AUTO}"
        )
    flair, said = wrapped.repaired(images.read_scan(paths.flair, name="FLAIR"))
    mask = _mask(paths.mask, flair.grid, "mask")
    atlas = None
    t1 = None
    if paths.t1 is not None:
        t1, more = wrapped.repaired(images.read_scan(paths.t1, name="T1"))
        said += more
    if paths.atlas is not None and paths.atlas_labels is not None:
        atlas = _atlas(paths.atlas, paths.atlas_labels, atlas_space, flair, t1)
    needs_place = wanted.filled_t1 or (atlas is not None and atlas.space == "t1")
    scene = Scene(
        flair=flair,
        mask=mask.astype(np.uint8),
        probability=_probability(paths.probability, flair.grid) if paths.probability else None,
        members={
            name: _probability(path, flair.grid)
            for name, path in zip(_names(paths.members), paths.members, strict=True)
        },
        threshold=_threshold(paths.mask) if threshold is None else threshold,
        anatomy=_anatomy(paths.anatomy, numbers, flair.grid) if paths.anatomy else None,
        excluded=_mask(paths.exclude, flair.grid, "mask to exclude") if paths.exclude else None,
        t1=None if t1 is None else _placed(flair, t1, needed=needs_place),
        atlas=atlas,
        warnings=tuple(said),
    )
    if not paths.name_structures:
        return scene
    # The last, as it takes longest: whatever is wrong with the files is known by now.
    # A T1 that is not used is not used for this either.
    found = scene.t1 is not None and scene.t1.move is not None
    known, said_of_it = naming.named(paths.flair, paths.t1 if found else None, progress)
    return replace(scene, anatomy=known, warnings=(*scene.warnings, *said_of_it))


def _check_together(paths: Paths, wanted: Wanted, atlas_space: AtlasSpace) -> None:
    twice = [str(path) for path in paths.members if paths.members.count(path) > 1]
    if twice:
        raise UsageError("A file of its own for each of --members was expected", received=twice[0])
    if (paths.atlas is None) != (paths.atlas_labels is None):
        given = "--atlas-labels" if paths.atlas is None else "--atlas"
        raise UsageError(
            "--atlas FILE and --atlas-labels TSV were expected together", received=f"{given} alone"
        )
    if wanted.filled_t1 and paths.t1 is None:
        raise UsageError("--t1 T1 was expected with --fill-t1", received="none")
    if atlas_space != "auto" and paths.atlas is None:
        raise UsageError("--atlas FILE was expected with --atlas-space", received="none")
    if atlas_space == "t1" and paths.t1 is None:
        raise UsageError("--t1 T1 was expected with --atlas-space t1", received="none")


def _threshold(mask: Path) -> float:
    """The threshold of the map that fits the report beside a mask; 0.5 if there is none."""
    try:
        with files.reading(path_beside(mask), "report", advice="") as file:
            told = json.loads(file.read(_MAX_BYTES))
    except (InputError, ValueError, RecursionError):
        return _USUAL
    if not isinstance(told, dict) or "model" not in told:
        return _USUAL
    value, divided = (_number(told.get(name)) for name in ("threshold", "temperature"))
    if value is None or not 0 <= value < 1:
        return _USUAL
    return temperature.threshold(value, divided) if divided else value


def _number(value: Any) -> float | None:
    """A positive number or 0; None for anything else, such as an integer that no float holds."""
    fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if fits and 0 <= value <= sys.float_info.max else None


def _names(paths: tuple[Path, ...]) -> list[str]:
    """What members are called: their files' names, or their paths where these are not enough."""
    short = [path.name for path in paths]
    return short if len(set(short)) == len(short) else [str(path) for path in paths]


# Volumes on FLAIR's voxels -----------------------------------------------------------------------


def _on_grid(
    read: Callable[[], tuple[npt.NDArray[Any], Grid]], grid: Grid, what: str
) -> npt.NDArray[Any]:
    """A volume in FLAIR's order of axes.

    Raises:
        GridMismatchError: If its voxels lie elsewhere.
    """
    volume, own = read()
    turn = geometry.turn_between(own, grid)
    if turn is None:
        raise GridMismatchError(
            f"The {what} was expected on the voxels of the FLAIR scan",
            received=grid.difference(own) or "other axes",
            advice="Measure it with the FLAIR scan that it was made of, or resample it to that "
            "scan's voxels (labels: nearest neighbour) first.",
        )
    return np.ascontiguousarray(turn.forward(volume))


def _labels(path: Path, grid: Grid, what: str) -> npt.NDArray[Any]:
    return _on_grid(lambda: images.read_labels(path), grid, f'{what} "{path}"')


def _mask(path: Path, grid: Grid, what: str) -> npt.NDArray[np.bool_]:
    """A mask of 0 and 1.

    Raises:
        LabelsError: If it holds other numbers.
    """
    values = _labels(path, grid, what)
    marked: npt.NDArray[np.bool_] = values == 1
    other = ~(marked | (values == 0))
    if other.any():
        held = np.unique(values)
        shown = ", ".join(f"{number:g}" for number in held[:5]) + ", …" * (len(held) > 5)
        raise LabelsError(
            f'A {what} of 0 and 1 was expected in "{path}"',
            received=f"{len(held)} numbers: {shown}",
            advice="Write 1 where something is marked and 0 elsewhere; a probability map goes to "
            "--probability.",
        )
    return marked


def _anatomy(path: Path, numbers: Numbers, grid: Grid) -> Anatomy:
    return anatomy.of_labels(_labels(path, grid, "anatomy"), str(path), numbers)


def _probability(path: Path, grid: Grid) -> Float:
    """A probability map.

    Raises:
        LabelsError: If its numbers are none.
    """
    what = f'probability map "{path}"'
    values = _on_grid(lambda: _grey_values(path), grid, what).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    if low < -_HAIR or high > 1 + _HAIR:
        raise LabelsError(
            f"A {what} with numbers from 0 to 1 was expected",
            received=f"{low:g} to {high:g}",
            advice="Divide percentages by 100 and 8-bit maps by 255.",
        )
    return np.clip(values, 0, 1)


def _grey_values(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    """Values as they are stored, which may all be one: nothing is likely in an empty scan."""
    try:
        scan = images.read_scan(path, name="probability")
    except ConstantImageError:
        return images.read_labels(path)
    return scan.array, scan.grid


# T1 ----------------------------------------------------------------------------------------------


def _placed(flair: Scan, t1: Scan, *, needed: bool) -> OtherScan:
    """Finds where T1 lies.

    Raises:
        RegistrationError: If they do not show one head, and it is needed.
    """
    found = other_scan.placed(flair, t1)
    if found.move is None and needed:
        raise RegistrationError(
            "A T1 image that shows the same head as FLAIR was expected",
            received=f"edges that match too badly ({found.agreement:.3f}; at least "
            f"{registration.LEAST_AGREEMENT} is needed)",
            advice="Check that both are of one patient. Without --fill-t1 and an atlas on T1 it is "
            "not needed.",
        )
    return found


# The atlas ---------------------------------------------------------------------------------------


def _atlas(path: Path, table: Path, space: AtlasSpace, flair: Scan, t1: Scan | None) -> Atlas:
    """An atlas with the names of its labels.

    Raises:
        LabelsError: If it holds fractions, or a label that has no name.
        UsageError: If nobody knows what its places mean.
    """
    values, grid = images.read_labels(path)
    if (
        not np.array_equal(values, np.rint(values))
        or values.min() < 0
        or values.max() > _LARGEST_LABEL
    ):
        raise LabelsError(
            f'An atlas of whole numbers from 0 was expected in "{path}"',
            received=f"numbers from {values.min():g} to {values.max():g}",
            advice="Name the label map, not a map of probabilities.",
        )
    volume, names = values.astype(np.int32), _region_names(table)
    check_labels(volume, names, str(table))
    return Atlas(volume, grid, names, _space_of(path, grid, space, flair, t1), str(path))


def _space_of(path: Path, grid: Grid, space: AtlasSpace, flair: Scan, t1: Scan | None) -> Space:
    if space != "auto":
        return space
    if geometry.turn_between(grid, flair.grid) is not None:
        return "flair"
    if t1 is not None and geometry.turn_between(grid, t1.grid) is not None:
        return "t1"
    if _says_mni(path):
        return "mni"
    raise UsageError(
        f'An atlas on the voxels of FLAIR or T1, or one that says it is in MNI space ("{path}"), '
        "was expected",
        received=flair.grid.difference(grid),
        advice="Say what its places mean: --atlas-space flair, t1 or mni.",
    )


def _says_mni(path: Path) -> bool:
    """Whether the form that places a file's voxels names MNI space."""
    label = f'atlas "{path}"'
    with files.reading(path, label, advice="Name one NIfTI file.") as file:
        found = forms.forms(nifti.inspect(file, label))
    return (found.sform_code or found.qform_code) == nifti.MNI_152


def _region_names(path: Path) -> dict[int, str]:
    """Label -> name, of a table with the columns index and name, as BIDS has them.

    Raises:
        TableError: If it has another form.
    """
    table = tables.read_table(path)
    columns = table.named("index", "name")
    if len(columns) < 2:
        raise table.lacking("index", "name")
    names: dict[int, str] = {}
    for number, row in enumerate(table.rows):
        label, name = row[columns["index"]].strip(), row[columns["name"]].strip()
        if not (label.isascii() and label.isdecimal()) or not name or int(label) in names:
            raise TableError(
                f"A new whole number and a name were expected in {table.where(number)}",
                received=f'"{label}" and "{name}"',
            )
        names[int(label)] = name
    return {label: name for label, name in names.items() if label}
