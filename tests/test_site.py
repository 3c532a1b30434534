"""The docs site: built strictly, complete, and nothing in it comes from another host."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import documented
import pytest
from conftest import ROOT

import wmhseg
from wmhseg.cli import main as cli

pytest.importorskip("sphinx", reason="needs Sphinx, of requirements-dev.txt")
from docs.site import build, links, reference


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as ``make docs`` makes it."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    assert build.build(folder) == []
    return folder


def words(path: Path) -> str:
    """What a page says, in one line."""
    text = re.sub(r"<[^>]+>", "", path.read_text("utf-8"))
    return " ".join(html.unescape(text).split())


def test_every_page_of_docs_is_on_the_map() -> None:
    listed = {page for part in build.contents().values() for page in part}
    pages = {page.relative_to(ROOT).as_posix() for page in (ROOT / "docs").glob("*.md")}
    assert pages - {"docs/README.md"} <= {str(page) for page in listed}
    assert list(build.contents())[:4] == ["Tutorials", "How to", "Reference", "Explanation"]


def test_pages_that_show_commands_are_in_the_site(site: Path) -> None:
    """What users read of README, docs, evaluation, benchmarks and models."""
    shown = {page.relative_to(ROOT) for page in documented.pages()}
    wanted = {page for page in shown if page.parts[0] in ("README.md", "docs")} - {
        Path("docs/README.md")
    }
    assert all((site / page).with_suffix(".html").is_file() for page in wanted)
    for page in ("evaluation/README", "benchmarks/README", "CHANGELOG", "CONTRIBUTING", "SECURITY"):
        assert (site / f"{page}.html").is_file()
    first = words(site / "index.html")
    assert "Your first training" in first
    assert "Commands" in first


def test_the_help_of_every_command_is_in_the_reference(site: Path) -> None:
    page = words(site / "reference" / "commands.html")
    for parser in cli.parsers():
        assert f"usage: {parser.prog} " in page
    assert "wmhseg models import" in page
    assert "mask to write, .nii.gz or .nii; replaces an earlier one" in page


def test_every_public_name_is_in_the_reference(site: Path) -> None:
    path = site / "reference" / "python.html"
    text = path.read_text("utf-8")
    for name in wmhseg.__all__:
        assert name == "__version__" or f'id="wmhseg.{name}"' in text, name
    assert 'id="wmhseg.Segmentation.save"' in text
    assert "millilitres" in words(path) or "voxel" in words(path)


def test_the_reference_is_of_one_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the terminal of whoever builds it."""
    monkeypatch.setenv("COLUMNS", "40")
    narrow = reference.commands()
    monkeypatch.delenv("COLUMNS")
    assert reference.commands() == narrow
    assert max(map(len, narrow.splitlines())) > 80


def test_what_the_site_links_to_comes_along(site: Path) -> None:
    (listed,) = site.glob("_downloads/*/promised.json")
    assert json.loads(listed.read_text("utf-8"))["exit_codes"]["UsageError"] == 2
    assert (site / "searchindex.js").stat().st_size > 10_000


def test_nothing_comes_from_another_host(site: Path) -> None:
    assert links.faults(site) == []
    assert len(list(site.rglob("*.html"))) > 40
    scripts = "".join(path.read_text("utf-8") for path in site.rglob("*.js"))
    loaded = re.findall(r"(?:fetch|import|importScripts)\(\s*['\"`](https?:)?//", scripts)
    assert loaded == []


def test_faults_of_a_site_are_seen(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<link rel="canonical" href="https://x.org/"><script src="https://x.org/a.js"></script>'
        '<img src="//x.org/a.png"><a href="https://x.org/">out</a><a href="b.html#here">b</a>'
        '<a href="b.html#gone">b</a><a href="c.html">c</a><a href="../d.html">d</a>'
    )
    (tmp_path / "b.html").write_text('<p id="here"><img src="data:image/png;base64,AA"></p>')
    (tmp_path / "s.css").write_text("@font-face { src: url('https://fonts.org/f.woff2'); }")
    assert links.faults(tmp_path) == [
        "a.html: fetches https://x.org/a.js from another host.",
        "a.html: fetches //x.org/a.png from another host.",
        "a.html: b.html#gone is no place on that page.",
        "a.html: c.html is no file of the site.",
        "a.html: ../d.html is no file of the site.",
        "s.css: fetches https://fonts.org/f.woff2 from another host.",
    ]
    assert links.faults(tmp_path / "none") == [
        f"{tmp_path / 'none'}: pages were expected. Received: none."
    ]


def small(root: Path, link: str) -> Path:
    """A repository of two pages, one of which links."""
    (root / "docs").mkdir(parents=True)
    (root / "README.md").write_text("# What it is\n\n## A part\n")
    (root / "docs" / "README.md").write_text(
        "# Map\n\n[What](../README.md)\n\n## Reference\n\n- [A page](a.md)\n"
    )
    (root / "docs" / "a.md").write_text(f"# A page\n\n[there]({link}), [map](README.md)\n")
    return root


def test_a_link_to_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for number, link in enumerate(("gone.md", "../../outside.md", "../docs")):
        root = small(tmp_path / str(number), link)
        assert build.build(tmp_path / "site", root) == [
            f"docs/a.md: a link to a file was expected. Received: {link}."
        ]
    assert not (tmp_path / "site").exists()


def test_a_link_to_a_place_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in reference.TITLES:  # short ones: they are not what is looked at
        monkeypatch.setattr(reference, name, lambda name=name: f"# {name}\n")
    wrong = build.build(tmp_path / "site", small(tmp_path / "bad", "../README.md#no-part"))
    assert len(wrong) == 1
    assert "no-part" in wrong[0]
    assert wrong[0].startswith("docs/a.md:")
    assert not (tmp_path / "site").exists()
    assert build.build(tmp_path / "site", small(tmp_path / "good", "../README.md#a-part")) == []
