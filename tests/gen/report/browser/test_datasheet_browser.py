"""The datasheet of a block in headless Chromium: fits a phone, can be read, light and dark, prints.

Only in ``make test-report``; its screenshots are to be looked at.
"""

from pathlib import Path

import pytest
from blockcase import block_of
from chromium import chromium, looked, need
from repo import EXAMPLES

from sterna.datasheet import datasheet_files
from sterna.golden.files.network_files import load

pytestmark = pytest.mark.browser

LOOK = """
<script>
window.addEventListener("load", () => {
  const found = {width: innerWidth, wide: document.documentElement.scrollWidth};
  found.colour = getComputedStyle(document.body).backgroundColor;
  const size = (e) => e.getBoundingClientRect();
  const waves = [...document.querySelectorAll("svg.wave")];
  found.waves = waves.length;
  found.small = waves.flatMap((w) => [...w.querySelectorAll("text")])
    .filter((t) => size(t).height < 9).length;
  found.outside = waves.flatMap((w) => [...w.querySelectorAll("text,path")]
    .filter((t) => size(t).left < size(w).left - 1 || size(t).right > size(w).right + 1)).length;
  // No label is wider than its box.
  found.tight = waves.flatMap((w) => {
    const boxes = [...w.querySelectorAll(".bus")].map(size);
    return [...w.querySelectorAll(".label")].map(size).filter((l) => !boxes.some(
      (b) => b.left <= l.left && l.right <= b.right && b.top < l.bottom && l.top < b.bottom));
  }).length;
  // Outside of what scrolls nothing is cut.
  found.cut = [...document.querySelectorAll("h1,h2,h3,p,dd,main li,figcaption")]
    .filter((e) => size(e).right > innerWidth + 1).length;
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need()
    folder = tmp_path_factory.mktemp("datasheet")
    build, block = block_of(load(EXAMPLES / "digits"), folder / "build")
    files = datasheet_files(build, block)
    html = files["digits_datasheet.html"]
    (folder / "looked.html").write_text(html + LOOK)
    (folder / "digits_datasheet.html").write_text(html)
    return folder / "digits_datasheet.html"


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_and_can_be_read(page: Path, width: int, dark: bool) -> None:
    found = looked(page, width, *["--blink-settings=preferredColorScheme=0"] * dark)
    assert found["width"] == width and found["wide"] <= width
    assert found["colour"] == ("rgb(20, 23, 28)" if dark else "rgb(255, 255, 255)")
    assert found["waves"] == 6
    assert [found[k] for k in ("small", "outside", "tight", "cut")] == [0, 0, 0, 0]


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1280, False), (1280, True)])
def test_pictures(page: Path, width: int, dark: bool) -> None:
    out = page.parent / f"{width}{'dark' if dark else ''}.png"
    words = ["--blink-settings=preferredColorScheme=0"] if dark else []
    chromium(*words, f"--window-size={width},5200", f"--screenshot={out}", page.as_uri())
    assert out.stat().st_size > 20_000  # something is on it


def test_it_prints(page: Path) -> None:
    out = page.parent / "page.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri())
    assert out.read_bytes().startswith(b"%PDF") and out.stat().st_size > 20_000
