"""report.html in headless Chromium: draws, says no error, fits a phone, sorts, light and dark.

Only in ``make test-report``. The screenshots it looks at lie in the folder of --basetemp, for
people to look at, too.
"""

from pathlib import Path

import pytest
from chromium import chromium, looked, need
from repo import ROOT
from smallcores import trits

from sterna.gen.build.report_files import write_report
from sterna.gen.build.stages import ensure
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule

pytestmark = pytest.mark.browser
NAMES = ("digits", "skip4_mix", "resnet20", "one")

LOOK = """
<script>
window.addEventListener("load", () => {
  const found = {width: innerWidth, wide: document.documentElement.scrollWidth};
  const colour = () => getComputedStyle(document.body).backgroundColor;
  found.before = colour();
  document.getElementById("theme").click();
  found.after = colour();
  document.getElementById("theme").click();
  const table = document.querySelector("#layers table");
  const numbers = (k) => [...table.tBodies[0].rows].map((r) => Number(r.children[k].dataset.sort));
  const heads = [...table.tHead.rows[0].children];
  const at = heads.findIndex((h) => h.textContent.trim() === "LUTs");
  heads[at].querySelector("button").click();
  found.down = numbers(at); found.said = heads[at].getAttribute("aria-sort");
  heads[at].querySelector("button").click();
  found.up = numbers(at);
  const node = document.getElementById("node-1");
  node.dispatchEvent(new PointerEvent("pointerenter"));
  const details = [...document.querySelectorAll(".detail")];
  found.detail = details.filter((d) => !d.hidden).map((d) => d.id);
  found.marked = document.querySelectorAll("tr.marked").length;
  node.focus();
  found.focus = document.activeElement.id;
  found.small = [...document.querySelectorAll("svg text")]
    .filter((t) => t.getBoundingClientRect().height < 6).length;
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""


@pytest.fixture(scope="module", params=NAMES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    need()
    folder, source = tmp_path_factory.mktemp("page"), ROOT / "examples" / request.param
    if request.param == "one":
        rule = NeuronRule([0, 0, 0], "none")
        nodes = [Input("x", (1, 4, 4)), Linear("f", "x", trits(3, 16)), Readout("r", "f", rule)]
        Network(2, nodes, "one").save(folder)
        source = folder
    built = ensure(source, "fold", None, folder)
    answer, path = write_report(built)
    assert path.stat().st_size < 1_500_000 and answer["layers"]
    (folder / "looked.html").write_text(path.read_text() + LOOK)
    return path


@pytest.mark.parametrize("width", [400, 1280])
def test_it_draws_fits_and_sorts(page: Path, width: int) -> None:
    found = looked(page, width)
    assert found["width"] == width and found["wide"] <= width
    assert found["down"] == sorted(found["down"], reverse=True) and found["said"] == "descending"
    assert found["up"] == sorted(found["up"])
    assert found["detail"] == ["detail-1"] and found["marked"] >= 1
    assert found["focus"] == "node-1" and found["small"] == 0
    assert found["before"] == "rgb(255, 255, 255)" and found["after"] == "rgb(20, 23, 28)"


def test_it_is_dark_where_the_system_is(page: Path) -> None:
    found = looked(page, 1280, "--blink-settings=preferredColorScheme=0")
    assert found["before"] == "rgb(20, 23, 28)" and found["after"] == "rgb(255, 255, 255)"


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1280, False), (1280, True)])
def test_pictures(page: Path, width: int, dark: bool) -> None:
    out = page.parent / f"{width}{'dark' if dark else ''}.png"
    words = ["--blink-settings=preferredColorScheme=0"] if dark else []
    chromium(*words, f"--window-size={width},3000", f"--screenshot={out}", page.as_uri())
    assert out.stat().st_size > 20_000  # something is on it


def test_it_prints(page: Path) -> None:
    out = page.parent / "page.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri())
    assert out.read_bytes().startswith(b"%PDF") and out.stat().st_size > 20_000
