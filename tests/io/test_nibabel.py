"""Every result lies on its scan in nibabel, in every combination of forms that a header can have.

nibabel is asked itself: what it takes for the affine of a scan is what it takes for that of the
mask, to the last bit, and what wmhseg takes for the place of the scan.
"""

from __future__ import annotations

import gzip
import itertools
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from conftest import ROOT, Phantom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wmhseg
from wmhseg import errors
from wmhseg.io import forms, images
from wmhseg.preparation.registration import Rigid, T1Place

SHAPE = (6, 5, 4)  # slices, rows, columns
VALUES = np.arange(math.prod(SHAPE)).reshape(SHAPE)
FIELDS = (
    "pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d",
    "qoffset_x", "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
CODES = range(5)
MM = {1: 1000.0, 3: 0.001}
REFUSALS = (
    "should be at right angles",
    "should name the same voxel size",
    "should be positive",
    "should be a rotation and a position",
    "should hold finite numbers",
)
"""Why a header may be refused, in the words of the message and of docs/raw-scans.md."""


@dataclass(frozen=True)
class Form:
    """What a file says about its place, and how it is stored."""

    qform_code: int = 1
    sform_code: int = 1
    quatern: tuple[float, ...] = (0.0, 0.0, 0.0)
    qoffset: tuple[float, ...] = (1.0, 2.0, 3.0)
    srow: tuple[tuple[float, ...], ...] = ((-0.9, 0, 0, 30), (0, 1, 0, -20), (0, 0, 3, 7))
    pixdim: tuple[float, ...] = (1, 0.9, 1, 3, 0, 0, 0, 0)
    units: int = 2
    version: int = 1
    order: str = "<"
    zipped: bool = False
    axes: int = 3

    def save(self, folder: Path, name: str) -> Path:
        """Writes a scan of ``VALUES``."""
        kind = nibabel.Nifti1Header if self.version == 1 else nibabel.Nifti2Header
        header = kind(endianness=self.order)
        raw = header.structarr
        raw["dim"] = (self.axes, *SHAPE[::-1], 1, 1, 1, 1)
        raw["datatype"], raw["bitpix"] = 16, 32
        raw["vox_offset"] = raw.dtype.itemsize + 4
        raw["pixdim"], raw["xyzt_units"] = self.pixdim, self.units
        raw["qform_code"], raw["sform_code"] = self.qform_code, self.sform_code
        for letter, value in zip("bcd", self.quatern, strict=True):
            raw[f"quatern_{letter}"] = value
        for letter, value, row in zip("xyz", self.qoffset, self.srow, strict=True):
            raw[f"qoffset_{letter}"], raw[f"srow_{letter}"] = value, row
        content = header.binaryblock + bytes(4) + VALUES.astype(self.order + "f4").tobytes()
        path = folder / (name + (".nii.gz" if self.zipped else ".nii"))
        path.write_bytes(gzip.compress(content, 1) if self.zipped else content)
        return path


# Any form -----------------------------------------------------------------------------------------


ANYTHING = st.floats(width=32)  # infinite or no number as well, in a form that is not in use
RIGHT = math.sqrt(0.5)
ROTATION = st.one_of(
    st.sampled_from([(1, 0, 0, 0), (0, 0, 0, 1), (0, 1, 0, 0), (RIGHT, RIGHT, 0, 0),
                     (RIGHT, 0, 0, -RIGHT), (0.5, 0.5, 0.5, 0.5), (0.998, 0.05, -0.03, 0.02)]),
    st.tuples(*[st.floats(-1, 1)] * 4).filter(lambda q: math.hypot(*q) > 0.1),
)  # fmt: skip
PLACE = st.tuples(*[st.floats(-300, 300, width=32)] * 3)


def unit(quaternion: tuple[float, ...]) -> np.ndarray:
    scaled = np.array(quaternion) / math.hypot(*quaternion)
    return scaled if scaled[0] >= 0 else -scaled


def turned(quaternion: tuple[float, ...]) -> np.ndarray:
    """The rotation of a quaternion, by Rodrigues."""
    a, b, c, d = unit(quaternion)
    cross = np.array([[0, -d, c], [d, 0, -b], [-c, b, 0]])
    return np.eye(3) + 2 * a * cross + 2 * cross @ cross


@st.composite
def sforms(draw: st.DrawFn, zooms: tuple[float, ...]) -> tuple[tuple[float, ...], ...]:
    """Oblique or not, mirrored or not, sheared, stretched or rounded more or less."""
    flips = draw(st.tuples(*[st.sampled_from([1, -1])] * 3))
    shear = draw(st.sampled_from([0, 0, 0, 0, 1e-5, 0.004, 0.02]))
    stretch = draw(st.sampled_from([1, 1, 1, 1, 1, 1.003, 1.03]))
    axes = turned(draw(ROTATION)) @ np.diag(flips)
    axes = axes @ (np.eye(3) + shear * np.eye(3, k=1)) * zooms * stretch
    decimals = draw(st.sampled_from([2, 3, 6, 17, 17]))
    matrix = np.column_stack([axes, draw(PLACE)]).round(decimals)
    return tuple(tuple(map(float, row)) for row in matrix)


@st.composite
def written(draw: st.DrawFn) -> Form:
    """Any two forms, in use or not, in any kind of file."""
    zooms = draw(st.tuples(*[st.floats(0.5, 6, width=32)] * 3))
    codes = draw(st.tuples(*[st.sampled_from([0, 1, 2, 3, 4])] * 2))
    stored = tuple(round(z, draw(st.sampled_from([2, 4, 17]))) for z in zooms)
    free = draw(st.tuples(*[ANYTHING] * 4)) if draw(st.booleans()) else (0.0,) * 4
    unused = draw(st.booleans())
    nonsense = (draw(ANYTHING),) * 3
    return Form(
        *codes,
        quatern=nonsense if unused and not codes[0] else tuple(unit(draw(ROTATION))[1:]),
        qoffset=nonsense if unused and not codes[0] else draw(PLACE),
        srow=((draw(ANYTHING),) * 4,) * 3 if unused and not codes[1] else draw(sforms(zooms)),
        pixdim=(draw(st.sampled_from([1, -1, 0])), *stored, *free),
        units=draw(st.sampled_from([0, 1, 2, 3])) | draw(st.sampled_from([0, 8, 16])),
        version=draw(st.sampled_from([1, 2])),
        order=draw(st.sampled_from("<>")),
        zipped=draw(st.booleans()),
        axes=draw(st.sampled_from([3, 4])),
    )


# What is compared ---------------------------------------------------------------------------------


def bits(path: Path) -> dict[str, bytes]:
    """The fields of place as they lie in the file, before nibabel mends any."""
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    kind = nibabel.Nifti2Header if b"n+2" in content[:8] else nibabel.Nifti1Header
    raw = kind(content[: kind.template_dtype.itemsize], check=False).structarr
    fields = {name: raw[name] for name in FIELDS}
    little = {name: f.astype(f.dtype.newbyteorder("<"), copy=False) for name, f in fields.items()}
    return {"kind": kind.__name__.encode()} | {name: f.tobytes() for name, f in little.items()}


def check_carried(result: Path, scan: Path) -> None:
    """Fails unless a result says of its place what its scan says."""
    np.testing.assert_array_equal(nibabel.load(result).affine, nibabel.load(scan).affine)
    assert bits(result) == bits(scan)


def check_place(scan: wmhseg.Scan, path: Path) -> None:
    """Fails unless wmhseg puts the corners where nibabel does, but for what it says it moved."""
    assert scan.header is not None
    grid, loaded = scan.grid, nibabel.load(path)
    axes = np.array(grid.direction).reshape(3, 3) * grid.spacing_mm[::-1]
    own = np.column_stack([axes, grid.origin_mm]) * [[-1], [-1], [1]]  # LPS to RAS
    affine = loaded.affine[:3] * MM.get(int(scan.header.record["xyzt_units"]) & 7, 1.0)
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(SHAPE[::-1]) - 1)
    away = corners @ (own - affine)[:, :3].T + (own - affine)[:, 3]
    most = np.linalg.norm(away, axis=1).max()
    size = np.abs(affine).max() + max(grid.spacing_mm) * max(SHAPE)
    assert most == pytest.approx(forms.forms(scan.header).straightened_mm, abs=1e-6 * size)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is about disks, and hundreds of files are written."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


Save = Callable[[wmhseg.Scan, wmhseg.Scan, Path, str], dict[str, Path]]


@pytest.fixture(scope="module")
def save(phantom: Phantom, models_folder: Path) -> Save:
    """Writes all that a segmentation of two scans writes; computed is only one, of others."""
    options = wmhseg.Options(device="cpu", on_unsuitable="warn")
    model = models_folder / "bright-flair"
    array = phantom.flair
    made = wmhseg.segment(array, spacing_mm=phantom.spacing_mm, model=model, options=options)

    def saved(flair: wmhseg.Scan, t1: wmhseg.Scan, folder: Path, end: str) -> dict[str, Path]:
        paths = {name: folder / f"{name}{end}" for name in ("mask", "probability", "t1_mask")}
        like = replace(
            made,
            mask=(VALUES % 3 == 0).astype(np.uint8),
            probability=(VALUES / VALUES.max()).astype(np.float32),
            grid=flair.grid,
            flair=flair,
            t1_place=T1Place(t1.grid, Rigid(), t1.header),
        )
        like.save(paths["mask"], paths["probability"], t1_mask=paths["t1_mask"])
        return paths

    return saved


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("forms")


def check_results(save: Save, folder: Path, flair: Form, t1: Form, end: str = ".nii") -> None:
    scans = {name: form.save(folder, name) for name, form in (("FLAIR", flair), ("T1", t1))}
    read = {name: images.read_scan(path, name=name) for name, path in scans.items()}
    for name, path in scans.items():
        check_place(read[name], path)
    made = save(read["FLAIR"], read["T1"], folder, end)
    check_carried(made["mask"], scans["FLAIR"])
    check_carried(made["probability"], scans["FLAIR"])
    check_carried(made["t1_mask"], scans["T1"])


# The tests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", list(itertools.product(CODES, CODES)))
def test_every_pair_of_codes_in_every_kind_of_file(
    codes: tuple[int, int], save: Save, folder: Path
) -> None:
    """The forms disagree: a turned qform elsewhere, in metres, millimetres or micrometres."""
    turn = (0.0, 0.1, float(unit((0.9, 0, 0.1, 0.4))[3]))
    for number, (version, zipped) in enumerate(itertools.product((1, 2), (False, True))):
        flair = Form(*codes, quatern=turn, version=version, zipped=zipped, units=number)
        t1 = replace(flair, units=2, pixdim=(-1, *flair.pixdim[1:]))
        check_results(save, folder, flair, t1, ".nii.gz" if zipped else ".nii")


SEEN: Counter[str] = Counter()


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written(), written())
def test_any_form_is_carried_and_believed_as_nibabel_does_or_refused(
    save: Save, folder: Path, flair: Form, t1: Form
) -> None:
    refusal = ""
    try:
        check_results(save, folder, flair, t1)
    except errors.NotNiftiError as error:
        refusal = str(error)
    assert not refusal or any(reason in refusal for reason in REFUSALS), refusal
    SEEN["refused" if refusal else "carried"] += 1


def test_many_forms_are_carried() -> None:
    """The test above tests little where nearly everything is refused."""
    if SEEN:
        assert SEEN["carried"] > 20


def test_the_docs_name_every_refusal() -> None:
    text = " ".join((ROOT / "docs" / "raw-scans.md").read_text(encoding="utf-8").split())
    for reason in REFUSALS:
        assert reason in text
