"""The page in a real browser: it draws, moves, keeps to itself, and complains of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from report_facts import facts_of

from wmhseg.html_report import single

pytestmark = pytest.mark.skipif(
    browser.found() is None, reason="no Chromium here (apt install chromium, or WMHSEG_BROWSER)"
)

# Pixels of the drawing that are orange: marks.
_COUNT = """(() => {
  const view = wmhsegViewer.view; view.drawScene();
  const gl = view.gl, w = gl.drawingBufferWidth, h = gl.drawingBufferHeight;
  const all = new Uint8Array(4 * w * h);
  gl.readPixels(0, 0, w, h, gl.RGBA, gl.UNSIGNED_BYTE, all);
  let marked = 0, bright = 0;
  for (let n = 0; n < all.length; n += 4) {
    marked += all[n] > all[n + 2] + 60; bright += all[n] > 60 && all[n] === all[n + 2];
  }
  return [marked, bright];
})()"""
_SLIDE = """(() => {{ const slider = document.getElementById("{0}"); slider.value = "{1}";
slider.dispatchEvent(new Event("input")); }})()"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    folder = tmp_path_factory.mktemp("browser")
    page = folder / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        single.write(page, facts_of(patch))
    with browser.running(folder) as made:
        made.open(page.as_uri(), 700, 500)
        made.until("document.documentElement.dataset.viewer")
        yield made


def test_the_page_lives(opened: browser.Browser) -> None:
    assert opened.value("document.documentElement.dataset.viewer") == "ready"
    assert opened.value("document.getElementById('no-viewer').hidden") is True
    marked, bright = opened.value(_COUNT)
    assert marked > 50
    assert bright > 500

    # Without opacity nothing is marked; FLAIR stays.
    opened.value(_SLIDE.format("opacity", 0))
    assert opened.value(_COUNT)[0] == 0
    opened.value(_SLIDE.format("opacity", 100))

    # The threshold changes what is marked, and the figures with it.
    lowest, highest = [], []
    for kept, place in ((lowest, 0), (highest, 18)):
        opened.value(_SLIDE.format("threshold", place))
        kept += [opened.value(_COUNT)[0], opened.value("amount.textContent")]
    assert lowest[0] > 2 * highest[0]
    assert lowest[1].startswith("Probability above 0.05: ")
    assert highest[1].startswith("Probability above 0.95: ")
    opened.value("document.querySelector('input[name=shown][value=mask]').click()")
    assert opened.value("amount.textContent").startswith("The result: 0.28 ml, 7 lesions")

    # A lesion of the table leads to it, by a click or a key.
    places = []
    for number in (2, 5):
        opened.value(f"document.querySelector('button.go[data-lesion=\"{number}\"]').click()")
        at = opened.value("[...wmhsegViewer.view.frac2mm(wmhsegViewer.view.scene.crosshairPos)]")
        goal = opened.value(
            f"JSON.parse(document.getElementById('data-facts').textContent).goals[{number - 1}]"
        )
        assert at[:3] == pytest.approx(goal, abs=0.01)
        assert opened.value("document.querySelector('tr.here button').textContent") == str(number)
        places.append(opened.value("where.textContent"))
    assert places[0] != places[1]

    # Sliders move the planes; T1 comes and goes.
    before = opened.value("where.textContent")
    opened.value(_SLIDE.format("up", 3))
    assert opened.value("where.textContent") != before
    flair = opened.value(_COUNT)[1]
    opened.value("t1.click()")
    assert opened.value("t1.getAttribute('aria-pressed')") == "true"
    assert opened.value(_COUNT)[1] != flair
    opened.value("flicker.click(); flicker.click()")

    # The rating becomes a file.
    opened.value(
        "window.kept = []; URL.createObjectURL = (blob) => { kept.push(blob); return 'data:,'; };"
        "HTMLAnchorElement.prototype.click = function () { kept.push(this.download); };"
        "document.querySelector('input[name=rating][value=exclude]').checked = true;"
        "document.getElementById('rating-comment').value = 'moved <b>';"
        "document.getElementById('rating-save').click();"
    )
    rating = opened.value("kept[0].text().then(JSON.parse)")
    assert rating["rating"] == "exclude"
    assert rating["comment"] == "moved <b>"
    assert rating["mask_sha256"] == "ef" * 32
    assert opened.value("kept[1]").endswith("_rating.json")

    # Nothing left the page, and nothing went wrong.
    assert [one for one in opened.requests if not one.startswith("file:")] == []
    assert len(opened.requests) == 1
    assert opened.complaints == []


def test_without_webgl_the_page_says_so(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        single.write(page, facts_of(patch, bare=True))
    with browser.running(tmp_path, webgl=False) as made:
        made.open(page.as_uri(), 700, 500)
        assert made.value("document.getElementById('no-viewer').hidden") is False
        assert made.value("document.getElementById('stage').hidden") is True
        assert made.value("document.querySelector('#pictures img').complete")
        assert made.value("document.querySelector('#pictures img').naturalWidth") > 1000
        assert made.complaints == []
