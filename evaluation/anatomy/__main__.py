"""Compares the structures that a model names with manual ventricles and brain masks.

    python -m evaluation.anatomy --data DIR --peers PEERS [--model NAME] [--orders]
        [--output DIR]

PEERS/<case> holds, on the FLAIR scan's grid, ``ventricles_reference.nii.gz`` and
``brain_reference.nii.gz``, and what other tools made: ``ventricles_<tool>.nii.gz``. Each case is
named from FLAIR and T1 and from FLAIR alone. Printed are DSC, volume and the share of the reference
that was named so; brains are told with and without the CSF around them, as references differ.
``--orders`` stores each case in all 48 orders and directions of axes: the names must be the same.
OUTPUT gets anatomy.csv and a picture a case. Exit code 1 if a bar is missed, or an order gives
something else.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from evaluation.orientation import ORDERS
from wmhseg import errors, geometry
from wmhseg.datasets import cases
from wmhseg.datasets.cases import Case
from wmhseg.geometry import Grid
from wmhseg.io import files, images, pictures
from wmhseg.scoring import metrics
from wmhseg.segmentation.anatomy import DEFAULT_MODEL, Anatomist, Anatomy
from wmhseg.weights.structures import LATERAL, STRUCTURES

BARS = {"ventricles": 0.82, "brain": 0.95}
OURS, ALONE = "FLAIR and T1", "FLAIR alone"
_TISSUE = tuple(name for name in STRUCTURES if name not in ("background", "head", "outer-csf"))
# What is compared with each reference: rows of the table -> structures.
PARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "ventricles": {
        "ventricles": (*LATERAL, "other-ventricles"),
        "lateral ventricles": LATERAL,
    },
    "brain": {"brain": _TISSUE, "brain and outer CSF": (*_TISSUE, "outer-csf")},
}
_COLOURS = np.array(
    [
        (0, 0, 0), (90, 90, 90), (60, 120, 255), (255, 60, 60), (60, 220, 60), (255, 220, 0),
        (200, 120, 60), (235, 235, 235), (170, 80, 200), (0, 170, 170), (255, 140, 200),
    ],
    np.float32,
)  # fmt: skip
_ACROSS = 6

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """One case.

    Attributes:
        name: Of the case.
        dsc: (reference, what, who) -> DSC.
        held: The same -> share of the reference that lies within what was named.
        volumes_ml: (reference, what, who) -> volume; what is "reference" for that itself.
        seconds: Who -> seconds of naming, without loading.
        wrong_orders: Orders of axes that gave other names.
        side_by_side: Picture of all slices, RGB.
    """

    name: str
    dsc: Mapping[tuple[str, str, str], float]
    held: Mapping[tuple[str, str, str], float]
    volumes_ml: Mapping[tuple[str, str, str], float]
    seconds: Mapping[str, float]
    wrong_orders: Sequence[str] = ()
    side_by_side: npt.NDArray[np.uint8] = field(
        default_factory=lambda: np.zeros((1, 1, 3), np.uint8)
    )


def read(path: Path, grid: Grid) -> Mask:
    """Reads a mask on the grid of a scan.

    Raises:
        InputError: If it cannot be read, or lies on another grid.
    """
    stored, own = images.read_labels(path)
    difference = own.difference(grid)
    if difference:
        raise errors.GridMismatchError(
            f"The FLAIR scan's grid was expected in {path}", received=difference
        )
    return np.asarray(stored > 0)


def compare(case: Case, peers: Path, anatomist: Anatomist, *, orders: bool) -> Compared:
    """Names the structures of a case and compares them with the references.

    Args:
        case: With FLAIR and T1.
        peers: Folder of references and of what other tools made.
        anatomist: What names them.
        orders: Whether to store the case in all 48 orders of axes.
    """
    assert case.flair is not None
    named = {OURS: anatomist.compute(anatomist.load(case.flair, case.t1))}
    named[ALONE] = anatomist.compute(anatomist.load(case.flair))
    grid = named[OURS].grid
    dsc, held, volumes = {}, {}, {}
    for reference, parts in PARTS.items():
        truth = read(peers / case.name / f"{reference}_reference.nii.gz", grid)
        made = {
            (what, who): one.where(*names)
            for who, one in named.items()
            for what, names in parts.items()
        }
        for path in sorted((peers / case.name).glob(f"{reference}_*.nii.gz")):
            tool = path.name.removeprefix(f"{reference}_").removesuffix(".nii.gz")
            if tool != "reference":
                made[reference, tool] = read(path, grid)
        volumes[reference, "reference", ""] = int(truth.sum()) * grid.voxel_ml
        for (what, who), mask in made.items():
            dsc[reference, what, who] = metrics.dsc(truth, mask)
            held[reference, what, who] = float(mask[truth].mean())
            volumes[reference, what, who] = int(mask.sum()) * grid.voxel_ml
    seconds = {who: one.seconds["predict"] + one.seconds["restore"] for who, one in named.items()}
    wrong = wrong_orders(case, anatomist, named[OURS]) if orders else []
    flair = images.read_scan(case.flair, name="FLAIR").array
    return Compared(case.name, dsc, held, volumes, seconds, wrong, picture(flair, named[OURS]))


def wrong_orders(case: Case, anatomist: Anatomist, wanted: Anatomy) -> list[str]:
    """The orders of axes, of all 48, in which a case gets other names."""
    straight = [sitk.ReadImage(str(path)) for path in (case.flair, case.t1) if path is not None]
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(wanted.to_image(), "LPS"))
    wrong = []
    for code in ORDERS:
        turned = [sitk.DICOMOrient(image, code) for image in straight]
        found = anatomist.compute(anatomist.load(*turned)).to_image()
        back = sitk.GetArrayFromImage(sitk.DICOMOrient(found, "LPS"))
        if not np.array_equal(back, expected):
            wrong.append(code)
    return wrong


def picture(flair: npt.NDArray[np.floating], named: Anatomy) -> npt.NDArray[np.uint8]:
    """All slices, FLAIR beside its structures, RGB."""
    turn = geometry.turn_to(named.grid, "LPS")
    grey, labels = turn.forward(flair), turn.forward(named.labels)
    grey = np.clip(grey / np.percentile(grey, 99.5), 0, 1)[..., None] * 255
    tiles = np.concatenate([np.repeat(grey, 3, -1), 0.35 * grey + 0.65 * _COLOURS[labels]], 1)
    missing = -len(tiles) % _ACROSS
    tiles = np.pad(tiles, ((0, missing), (0, 0), (0, 0), (0, 0)))
    rows = [np.concatenate(list(part), 1) for part in np.split(tiles, len(tiles) // _ACROSS)]
    drawn: npt.NDArray[np.uint8] = np.concatenate(rows).astype(np.uint8)
    return drawn


def table(compared: Sequence[Compared]) -> list[str]:
    """Lines of Markdown: of each case DSC, ml and share of the reference held; mean DSC."""
    names = " | ".join(one.name for one in compared)
    lines = [f"| DSC (ml, share held) | {names} | mean, n = {len(compared)} |"]
    lines.append("|---" * (len(compared) + 2) + "|")
    for reference in PARTS:
        own = " | ".join(f"({c.volumes_ml[reference, 'reference', '']:.1f})" for c in compared)
        lines.append(f"| **{reference}**, the reference | {own} | |")
        keys = [key for key in compared[0].dsc if key[0] == reference]
        for key in keys:
            cells = [
                f"{one.dsc[key]:.3f} ({one.volumes_ml[key]:.1f}, {one.held[key]:.2f})"
                for one in compared
            ]
            average = mean(one.dsc[key] for one in compared)
            lines.append(f"| {key[1]}, {key[2]} | {' | '.join(cells)} | {average:.3f} |")
    return lines


def to_csv(compared: Sequence[Compared]) -> str:
    """One row a case, reference, part and who."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("case", "reference", "what", "who", "dsc", "held", "volume_ml"))
    for one in compared:
        for key, volume in one.volumes_ml.items():
            shares = (f"{of.get(key, 1.0):.4f}" for of in (one.dsc, one.held))
            writer.writerow((one.name, *key, *shares, f"{volume:.2f}"))
    return text.getvalue()


def missed(compared: Sequence[Compared]) -> list[str]:
    """Sentences about bars that are not reached, and orders that matter."""
    found = []
    for one in compared:
        for reference, bar in BARS.items():
            value = one.dsc[reference, reference, OURS]
            if not value >= bar:
                found.append(f"{one.name}: DSC of {reference} {value:.3f}, bar {bar}")
        if one.wrong_orders:
            found.append(f"{one.name}: other names in the orders {', '.join(one.wrong_orders)}")
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Compares, prints and writes; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--peers", type=Path, required=True, metavar="PEERS")
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME")
    parser.add_argument("--orders", action="store_true", help="all 48 orders of axes")
    parser.add_argument("--output", type=Path, metavar="DIR")
    given = parser.parse_args(argv)
    anatomist = Anatomist(given.model)
    known = [
        case
        for case in cases.find_cases(given.data)
        if (given.peers / case.name / "ventricles_reference.nii.gz").is_file()
    ]
    if not known:
        raise errors.NoCasesError(
            "Cases with PEERS/<case>/ventricles_reference.nii.gz were expected",
            received=f"none of {given.data} in {given.peers}",
        )
    compared = []
    for case in known:
        compared.append(compare(case, given.peers, anatomist, orders=given.orders))
        last = compared[-1]
        print(f"{case.name}: {last.seconds[OURS]:.1f} s", flush=True)
        if given.output is not None:
            files.check_writable(given.output)
            pictures.write_picture(given.output / f"{case.name}.png", last.side_by_side)
    if given.output is not None:
        files.write_text(given.output / "anatomy.csv", to_csv(compared))
    print("\n".join(table(compared)))
    failed = missed(compared)
    print("\n".join(failed or ["all bars are reached"]))
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except errors.WmhsegError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
