"""The page about many results: rows, flags, links, ratings, and how large it gets."""

from __future__ import annotations

import json
import time
from pathlib import Path

import browser
import pytest
from report_facts import HOSTILE

from wmhseg import errors
from wmhseg.batch.summary import Row, write_summary
from wmhseg.cli.main import main
from wmhseg.html_report import group, results
from wmhseg.io import checksums
from wmhseg.measures import places

ICON = "data:image/jpeg;base64," + "A" * 2600


def rated(path: Path, name: str, rating: str, date: str = "2026-01-01", **more: object) -> None:
    told = {"kind": "wmhseg rating", "name": name, "rating": rating, "date": date, **more}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(told), "utf-8")


def filled(folder: Path, count: int) -> Path:
    """A folder of ``batch``: the last but one has nothing marked, the last one failed."""
    folder.mkdir(exist_ok=True)
    rows = [
        Row(f"s{n:04}", "done", 1.0 + n % 7 / 10, n % 9, 1.0, scans="FLAIR") for n in range(count)
    ]
    rows[0] = Row("s0000", "done", 90.0, 400, 1.0, warnings=("Look: " + HOSTILE,))
    rows[-2] = Row(rows[-2].subject, "done", 0.0, 0, 1.0)
    rows[-1] = Row(rows[-1].subject, "failed", exit_code=80, error="broken " + HOSTILE)
    write_summary(folder / "summary.tsv", rows)
    for row in rows[:-1]:
        (folder / row.subject).mkdir(parents=True)
        head = f'<!DOCTYPE html><link rel="icon" href="{ICON}">'
        (folder / row.subject / "report.html").write_text(head, "utf-8")
    return folder


def test_a_row_a_subject(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path, 12)
    rated(tmp_path / "s0003_rating.json", "s0003", "exclude", comment=HOSTILE)
    rated(tmp_path / "s0004" / "mask.nii.gz_rating.json", "mask.nii.gz", "good")
    rated(tmp_path / "old_rating.json", "s0004", "correct", "2025-01-01")
    (tmp_path / "odd_rating.json").write_text('{"kind": "wmhseg rating", "rating": []}', "utf-8")
    assert main(["report", "--group", str(tmp_path)]) == 0
    assert "scans        12, 1 without result" in capsys.readouterr().out
    page = (tmp_path / "group.html").read_text("utf-8")
    found = results.read(tmp_path)
    assert [one.name for one in found] == [f"s{n:04}" for n in range(12)]
    flags = group.flags(found)
    assert flags[0] == ["unusual volume", "warnings"]
    assert flags[3] == ["exclude"]
    assert flags[4] == []
    assert flags[10] == ["nothing marked"]
    assert flags[11] == ["no result"]
    assert page.count('<a href="s0') == 11
    assert page.count(ICON) == 11
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror" in page
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_a_rating_of_an_older_mask_is_flagged(tmp_path: Path) -> None:
    """By its checksum; a rating that names none, or a mask that is as it was, is not."""
    filled(tmp_path, 9)
    for n in range(4):
        (tmp_path / f"s{n:04}" / "result.nii.gz").write_bytes(b"mask")
    own = checksums.sha256_of(tmp_path / "s0000" / "result.nii.gz")
    for n, mark in enumerate((own, "0" * 64, None, "", "1" * 64)):
        rated(tmp_path / f"s{n:04}" / "rating.json", f"s{n:04}", "good", mask_sha256=mark)
    told = group.flags(results.read(tmp_path))
    older = [number for number, flags in enumerate(told) if "rating of an older mask" in flags]
    assert older == [1, 4]  # of the last there is no mask at all
    # In derivatives of BIDS the table says where the mask is.
    (tmp_path / "summary.tsv").unlink()
    (tmp_path / "m.nii.gz").write_bytes(b"mask")
    (tmp_path / "group_wmh.tsv").write_text(
        "scan\tstatus\tvolume_ml\tfilename\ns0000\tdone\t1\tm.nii.gz\ns0001\tdone\t1\tm.nii.gz\n",
        "utf-8",
    )
    assert [one.outdated for one in results.read(tmp_path)] == [False, True]


def test_measures_have_columns_where_there_are_any(tmp_path: Path) -> None:
    filled(tmp_path, 9)
    assert "Networks from" not in group.made(results.read(tmp_path), "t")
    more = {"members_lowest_ml": 1.25, "members_highest_ml": 3.0}
    write_summary(tmp_path / "summary.tsv", [Row("s0001", "done", 2.0, 1, measures=more)])
    found = {one.name: one.measures for one in results.read(tmp_path)}
    assert found["s0001"] == more
    assert found["s0002"] == {}
    page = group.made(results.read(tmp_path), "t")
    assert "Networks from, ml" in page
    assert "1.25" in page
    assert "% of TIV" not in page
    assert "counted before any lesion is removed" in page


def test_columns_of_places_name_their_rule(tmp_path: Path) -> None:
    more = {"periventricular_continuity_ml": 1.25, "deep_continuity_ml": 0.5}
    filled(tmp_path, 9)
    write_summary(tmp_path / "summary.tsv", [Row("s0001", "done", 2.0, 1, measures=more)])
    page = group.made(results.read(tmp_path), "t")
    assert "Periventricular (continuity), ml" in page
    assert "Deep (continuity), ml" in page
    assert "juxtacortical ones are in neither column" in page
    # Of every measure whose name has a rule, today's and those to come.
    for column in results.SHOWN:
        rule = next((one for one in places.RULES if f"_{one}_" in column), "")
        assert rule in group.headed(column)


def test_links_lead_from_where_the_page_is(tmp_path: Path) -> None:
    filled(tmp_path / "a b", 9)
    assert main(["report", "--group", f"{tmp_path}/a b", "--output", f"{tmp_path}/g.html"]) == 0
    page = (tmp_path / "g.html").read_text("utf-8")
    assert '<a href="a%20b/s0001/report.html">' in page


def test_derivatives_of_bids(tmp_path: Path) -> None:
    (tmp_path / "group_wmh.tsv").write_text(
        "participant_id\tscan\tstatus\tvolume_ml\tlesion_count\twarnings\terror\n"
        "sub-01\tsub-01_ses-a\tdone\t2.5\t4\t0\tn/a\nsub-02\tsub-02\tfailed\tn/a\tn/a\tn/a\tno\n",
        "utf-8",
    )
    place = tmp_path / "sub-01" / "ses-a" / "anat"
    place.mkdir(parents=True)
    (place / "sub-01_ses-a_space-orig_desc-wmh_report.html").write_text("", "utf-8")
    one, two = results.read(tmp_path)
    assert (one.name, one.volume_ml, one.lesions) == ("sub-01_ses-a", 2.5, 4)
    assert one.report.endswith("desc-wmh_report.html")
    assert (two.volume_ml, two.error, two.report) == (None, "no", "")
    assert group.flags([one, two]) == [[], ["no result"]]


@pytest.mark.parametrize("content", [None, "subject\tstatus\n"])
def test_a_folder_of_something_else(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "summary.tsv").write_text(content, "utf-8")
    code = main(["report", "--group", str(tmp_path)])
    assert code == errors.NoCasesError.exit_code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not (tmp_path / "group.html").exists()


def test_a_thousand_are_small_and_fast(tmp_path: Path) -> None:
    filled(tmp_path, 1000)
    started = time.process_time()
    group.write(tmp_path / "group.html", results.read(tmp_path), "many")
    assert time.process_time() - started < 5
    assert (tmp_path / "group.html").stat().st_size < 20e6


@pytest.mark.skipif(browser.found() is None, reason="no Chromium here (apt install chromium)")
def test_it_sorts_in_a_browser(tmp_path: Path) -> None:
    filled(tmp_path, 12)
    group.write(tmp_path / "group.html", results.read(tmp_path), "some")
    first = "document.querySelector('#scans tbody tr th').textContent"
    with browser.running(tmp_path, webgl=False) as opened:
        opened.open((tmp_path / "group.html").as_uri())
        assert opened.value(first) == "s0000"
        opened.value("document.querySelectorAll('#scans thead button')[3].click()")
        assert opened.value(first) == "s0010"
        opened.value("document.querySelectorAll('#scans thead button')[3].click()")
        assert opened.value(first) == "s0000"
        last = "[...document.querySelectorAll('#scans tbody tr th')].pop().textContent"
        assert opened.value(last) == "s0011"
        assert opened.complaints == []
        assert len(opened.requests) == 1


@pytest.mark.skipif(browser.found() is None, reason="no Chromium here (apt install chromium)")
@pytest.mark.parametrize("width", [1280, 390])
def test_one_failure_does_not_fill_a_screen(width: int, tmp_path: Path) -> None:
    """Words and numbers stay whole, the row of a failure is low, and the table scrolls."""
    filled(tmp_path, 9)
    figures = {"wmh_percent_of_tiv": 0.8186, "periventricular_continuity_ml": 18.95,
               "deep_continuity_ml": 2.292, "members_lowest_ml": 9.168}  # fmt: skip
    error = "A FLAIR image of three axes was expected in " + "/folder" * 12 + ". Received: 4 axes."
    rows = [Row("s0001", "done", 11.46, 62, measures=figures), Row("s0002", "failed", error=error)]
    write_summary(tmp_path / "summary.tsv", rows)
    group.write(tmp_path / "group.html", results.read(tmp_path), "some")
    with browser.running(tmp_path, webgl=False) as opened:
        opened.open((tmp_path / "group.html").as_uri(), width, 800)
        failed = "document.querySelector('tr.failed')"
        assert opened.value(f"{failed}.getBoundingClientRect().height") < 300
        told = f"{failed}.querySelector('td.told').getBoundingClientRect().width"
        assert opened.value(told) >= 288
        lines = (
            "Math.max(...[...document.querySelectorAll('td.number')].map(cell => "
            "{ const all = document.createRange(); all.selectNodeContents(cell); "
            "return all.getClientRects().length; }))"
        )
        assert opened.value(lines) == 1
        # The page itself is never wider than the window.
        assert opened.value("document.documentElement.scrollWidth") <= width
