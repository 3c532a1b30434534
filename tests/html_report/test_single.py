"""The page about one result: what stands in it, that it is safe, and that it stays small."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html.parser
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from report_facts import HOSTILE, facts_of

from wmhseg import errors
from wmhseg.cli.main import main
from wmhseg.geometry import Grid
from wmhseg.html_report import facts, markup, sections, single, volumes
from wmhseg.html_report.facts import Facts
from wmhseg.io import images, nifti, volume_files
from wmhseg.measures import uncertainty
from wmhseg.reporting.window import Look, Window


class Elements(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, and the text of each script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self._inside = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.words += data

    def named(self, name: str) -> dict[str, str | None]:
        (found,) = (attrs for _, attrs in self.tags if attrs.get("id") == name)
        return found

    def held(self, name: str) -> str:
        scripts = [attrs for tag, attrs in self.tags if tag == "script"]
        return next(
            text
            for attrs, text in zip(scripts, self.scripts, strict=True)
            if attrs.get("id") == f"data-{name}"
        )


@pytest.fixture(scope="module")
def full() -> Facts:
    with pytest.MonkeyPatch.context() as patch:
        return facts_of(patch)


@pytest.fixture(scope="module")
def page(full: Facts) -> str:
    return single.made(full)


@pytest.fixture(scope="module")
def elements(page: str) -> Elements:
    return Elements(page)


def volume(text: str) -> tuple[np.ndarray, nifti.Header]:
    content = gzip.decompress(base64.b64decode(text))
    header = nifti.inspect(io.BytesIO(content), "volume")
    return np.frombuffer(content, np.uint8, offset=352), header


def test_hostile_names_are_text(page: str, elements: Elements) -> None:
    """As title, model, command, path, name of a member and warning."""
    assert not any("onerror" in attrs or "onload" in attrs for _, attrs in elements.tags)
    images_there = [attrs for tag, attrs in elements.tags if tag == "img"]
    assert [attrs["src"][:22] for attrs in images_there] == ["data:image/png;base64,"]
    assert elements.words.count("<img src=x onerror=alert(1)>") >= 6
    told = json.loads(elements.held("facts"))
    assert told["name"].startswith('</script><img src=x onerror=alert(1)>"')
    assert "\u2028" not in page


def test_the_policy_lets_nothing_in_and_nothing_out(page: str, elements: Elements) -> None:
    (policy,) = (a["content"] for _, a in elements.tags if a.get("http-equiv"))
    rules = dict(part.strip().split(" ", 1) for part in str(policy).split(";"))
    assert rules["default-src"] == "'none'"
    assert not re.search(r"https?:|\*|unsafe", str(policy))
    scripts = [attrs for tag, attrs in elements.tags if tag == "script"]
    run = [
        text for attrs, text in zip(scripts, elements.scripts, strict=True) if "type" not in attrs
    ]
    assert len(run) == 3
    for text in run:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules["script-src"]
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert rules["style-src"] == f"'sha256-{digest}'"
    for tag, attrs in elements.tags:
        for name in ("src", "href", "action"):
            address = attrs.get(name) or "#"
            assert address.startswith(("#", "data:")), (tag, address)
        assert "style" not in attrs, tag


def test_the_viewer_gets_what_was_measured(full: Facts, elements: Elements) -> None:
    """Mask, probability and places are those of the scan; the curve says how many are above."""
    marks, header = volume(elements.held("mask"))
    assert int((marks == volumes.MARKED).sum()) == len(full.measures.lesions.voxels)
    steps, _ = volume(elements.held("probability"))
    told = json.loads(elements.held("facts"))
    voxel_ml = full.measures.grid.voxel_ml
    for threshold, volume_ml, _ in told["curve"]:
        above = int((steps > round(threshold * told["steps_of_1"])).sum())
        assert volume_ml == pytest.approx(above * voxel_ml, abs=1e-4)
    assert len(told["goals"]) == full.measures.lesions.count
    shape = tuple(int(n) for n in told["shape"])
    assert marks.size == np.prod(shape)
    assert volume(elements.held("t1"))[0].size == marks.size
    assert header.dtype == np.uint8


@pytest.mark.parametrize("k", range(1, 20))
def test_steps_are_exact_at_every_threshold_of_the_curve(k: int) -> None:
    threshold = uncertainty.THRESHOLDS[k - 1]
    near = np.float32(threshold)
    values = np.array([np.nextafter(near, 0), near, np.nextafter(near, 1)], np.float32)
    assert (volumes.probability_bytes(values) > 10 * k).tolist() == (values > threshold).tolist()


def test_goals_lie_in_their_lesions(full: Facts) -> None:
    found, grid = full.measures.lesions, full.measures.grid
    labels = found.volume()
    for number, (x, y, z) in enumerate(sections.goals(full), 1):
        lps = np.array([-x, -y, z]) - grid.origin_mm
        column, row, plane = np.rint(lps / np.array(grid.spacing_mm)[::-1]).astype(int)
        assert labels[plane, row, column] == number


def test_every_lesion_has_a_row_and_a_button(full: Facts, elements: Elements) -> None:
    buttons = [a["data-lesion"] for _, a in elements.tags if a.get("class") == "go"]
    assert buttons == [str(n) for n in range(1, full.measures.lesions.count + 1)]


def test_all_parts_are_there_and_can_be_reached(elements: Elements) -> None:
    links = {a["href"] for tag, a in elements.tags if tag == "a"}
    parts = {f"#{a['id']}" for tag, a in elements.tags if tag == "section"}
    assert parts <= links
    assert len(parts) == 11
    labelled = {a.get("for") for tag, a in elements.tags if tag == "label"}
    inside = re.findall(r"<label[^>]*>(?:(?!</label>).)*<(?:input|textarea)", str(elements.tags))
    assert {"rating-comment", "rating-by"} <= labelled
    assert not inside
    for words in (
        "Research only", "Periventricular by", "STRIVE", "Fazekas, estimate", "SHA-256",
        "ab" * 32, "cd" * 32, "ef" * 32, "structural disagreement", "[1]", "NiiVue",
    ):  # fmt: skip
        assert words in elements.words, words


def test_a_bare_mask_says_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = facts_of(monkeypatch, bare=True)
    made = Elements(single.made(bare))
    for sentence in (facts.NO_REPORT, facts.NO_PROBABILITY, facts.NO_T1):
        assert sentence in made.words
    ids = {attrs.get("id") for _, attrs in made.tags}
    assert not ids & {"threshold", "t1", "flicker", "data-probability", "data-t1"}
    assert {"data-flair", "data-mask", "opacity", "up"} <= ids
    assert "No probability map was given" in made.words


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"volume_ml": 3.0}, "tells of 3 ml"),
        ({"inputs": {"FLAIR": {"sha256": "00" * 32}}}, "checksum is another"),
    ],
)
def test_a_report_of_another_mask_is_a_warning(
    told: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = facts_of(monkeypatch, told=told)
    assert any(words in sentence for sentence in found.warnings)
    own = {"volume_ml": round(found.measures.total.volume_ml, 4)}
    same = facts_of(monkeypatch, told={**own, "inputs": {"FLAIR": {"sha256": "cd" * 32}}})
    assert same.warnings == same.measures.warnings


def test_odd_reports_do_no_harm(full: Facts) -> None:
    """Whoever wrote the file: numbers where texts were expected, and so on."""
    odd = {
        "schema": 1, "model": 7, "members": [None, {"file": ["x"]}], "versions": "none",
        "warnings": {"a": 1}, "threshold": "high", "seconds": float("nan"), "steps": [[[]]],
    }  # fmt: skip
    there = replace(full, told=odd)
    parts = (sections.summary, sections.origin, sections.methods, sections.findings)
    assert "high" in Elements("".join(one(there) for one in parts)).words


@given(st.text(max_size=40))
@example("</script><!--<b>&amp;")
@settings(max_examples=20)
def test_any_text_stays_text(name: str) -> None:
    made = Elements(f"<p>{markup.text(name)}</p>" + markup.element("i", "", title=name))
    assert [tag for tag, _ in made.tags] == ["p", "i"]
    held = markup.json_text({name: name})
    assert not set(held) & set("<>&")
    assert json.loads(held) == {name: name}


def test_a_large_scan_is_made_coarser_and_keeps_every_mark() -> None:
    rng = np.random.default_rng(0)
    grid = Grid((12, 40, 40), (3.0, 1.0, 1.0), (5.0, 6.0, 7.0))
    grey = rng.integers(0, 255, grid.shape).astype(np.uint8)
    mask = np.zeros(grid.shape, np.uint8)
    mask[3, 11, 39] = volumes.MARKED
    look = Look(Window(None, 0, 1), (0, 12), (0, 40), (0, 40))
    every = volumes.shown(grid, {"flair": grey}, {"mask": mask}, look)
    assert volumes.fitted(every, 10**6)[0] is every
    fitted, texts = volumes.fitted(every, 9000)
    assert fitted.together == (1, 2, 2)
    assert sum(map(len, texts.values())) <= 9000
    assert fitted.grid.spacing_mm == (3.0, 2.0, 2.0)
    assert fitted.grid.origin_mm == (5.5, 6.5, 7.0)
    assert np.argwhere(fitted.volumes["mask"]).tolist() == [[3, 5, 19]]
    assert fitted.volumes["flair"][0, 0, 0] == int(grey[0, :2, :2].mean() + 0.5)


def test_the_head_is_cut_out_and_keeps_its_place() -> None:
    grid = Grid((10, 30, 30), (1.0, 1.0, 2.0), (1.0, 2.0, 3.0))
    mask = np.zeros(grid.shape, np.uint8)
    mask[1, 25, 29] = volumes.MARKED
    look = Look(Window(None, 0, 1), (5, 10), (10, 20), (12, 20))
    cut = volumes.shown(grid, {}, {"mask": mask}, look)
    (place,) = np.argwhere(cut.volumes["mask"])
    at = np.array(cut.grid.origin_mm) + (place * cut.grid.spacing_mm)[::-1]
    assert at.tolist() == [1 + 29 * 2, 2 + 25, 3 + 1]
    assert cut.first == (0, 5, 10)


FLAIR = "flair.nii"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: Facts) -> Path:
    facts_of(monkeypatch)  # it is found nowhere
    monkeypatch.chdir(tmp_path)
    scene = full.measures.scene
    assert scene.probability is not None
    assert scene.t1 is not None
    for name, array in (
        ("flair", scene.flair.array), ("mask", scene.mask), ("p", np.clip(scene.probability, 0, 1)),
        ("t1", scene.t1.scan.array),
    ):  # fmt: skip
        volume_files.write_volume(f"{name}.nii", array, scene.flair.grid)
    return tmp_path


BARE = ("report", "--flair", FLAIR, "--mask", "mask.nii", "--output", "made/r.html")


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*BARE, "--probability", "p.nii", "--t1", "t1.nii", "--name", "A & B"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "written      made/r.html\n"
    assert "left out     no anatomy was given" in printed.err
    page = Elements((folder / "made/r.html").read_text("utf-8"))
    assert json.loads(page.held("facts"))["name"] == "A & B"
    assert "wmhseg report --flair flair.nii" in page.words
    assert [path.name for path in (folder / "made").iterdir()] == ["r.html"]


def test_names_in_headers_are_not_in_the_page(folder: Path) -> None:
    content = bytearray((folder / FLAIR).read_bytes())
    content[148:164] = b"Erika Mustermann"
    (folder / FLAIR).write_bytes(content)
    assert images.read_scan(FLAIR, name="FLAIR").grid is not None
    assert main(list(BARE)) == 0
    page = (folder / "made/r.html").read_text("utf-8")
    held = gzip.decompress(base64.b64decode(Elements(page).held("flair")))
    assert "Mustermann" not in page
    assert b"Mustermann" not in held


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--output", "r.txt"], errors.UsageError.exit_code, "should end in .html"),
        (["--mask", "flair.nii"], errors.LabelsError.exit_code, "0 and 1"),
        (["--mask", "other.nii"], errors.GridMismatchError.exit_code, "on the voxels"),
        (["--output", "mask.html", "--mask", ""], errors.UsageError.exit_code, "no --mask"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    words: list[str], code: int, told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume_files.write_volume(
        "other.nii", np.zeros((3, 4, 5), np.uint8), Grid((3, 4, 5), (1, 1, 1))
    )
    before = sorted(folder.iterdir())
    assert main([*BARE, *words]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line
    assert sorted(folder.iterdir()) == before


def test_what_is_vendored_is_what_was_fetched() -> None:
    for line in markup.stored("SHA256SUMS", "niivue").splitlines():
        expected, name = line.split()
        content = markup.stored(name, "niivue").encode("utf-8")
        assert hashlib.sha256(content).hexdigest() == expected
    assert "BSD 2-Clause" in markup.stored("LICENSE.txt", "niivue")


def test_the_hostile_name_is_hostile() -> None:
    assert len(Elements(HOSTILE).tags) > 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read(scheme: str) -> None:
    """WCAG 2 asks for a contrast of 4.5 between words and their ground."""
    blocks = re.findall(r":root \{(.*?)\}", markup.stored("page.css"), re.S)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[scheme == "dark"]))

    def light(name: str) -> float:
        parts = [int(colours[name][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        red, green, blue = (
            one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts
        )
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for words, ground in (
        ("ink", "back"), ("ink", "card"), ("faint", "back"), ("faint", "card"), ("link", "back"),
        ("mark", "back"), ("warn-ink", "warn"), ("bad-ink", "bad"), ("ink", "button"),
        ("link", "warn"), ("link", "bad"),
    ):  # fmt: skip
        low, high = sorted((light(words), light(ground)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (words, ground)
