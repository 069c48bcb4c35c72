"""The pages: links, anchors and paths lead somewhere, each page is in the navigation, each public
name in the API's pages, and the map of rooms is the one that imports are held to."""

import importlib
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from repo import ROOT

import sterna

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
OTHERS = [p for p in sorted(ROOT.glob("*.md")) if p.name != "BRIEF.md"]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"\bdocs/[\w/]+\.md(?:#[\w-]+)?")


def text_of(page: Path) -> str:
    """The page without its blocks and spans of code, where brackets mean something else."""
    text = re.sub(r"^( *)(```|~~~).*?^\1\2", "", page.read_text(), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "``", text)


def anchors(page: Path) -> set[str]:
    """What may stand behind # of a link to the page, by the rule of mkdocs (GitHub's is the same
    for the titles that we have)."""
    text = re.sub(r"^( *)(```|~~~).*?^\1\2", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ +(.+?)(?: +#+)?$", text, flags=re.M)
    plain = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", t) for t in titles]
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", t).strip().lower()) for t in plain}


def broken(origin: Path, link: str) -> str | None:
    """Why a link of the file leads nowhere; None where it does not."""
    target, _, anchor = link.partition("#")
    path = (origin.parent / target).resolve() if target else origin
    if not path.exists():
        return f"{link}: no such file"
    if DOCS in origin.parents and DOCS not in path.parents:
        return f"{link}: outside of docs/, so the site has no such page; name it `{target}`"
    if anchor and (path.suffix != ".md" or anchor not in anchors(path)):
        return f"{link}: no such title"
    return None


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = [x for x in LINK.findall(text_of(page)) if not re.match(r"[a-z]+:", x)]
    assert [b for x in links if (b := broken(page, x))] == []


def test_what_code_says_of_the_pages_is_there() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.toml", "*.cpp", "Makefile"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git repository")
    wrong, found = [], 0
    for name in listed.stdout.split():
        if not (ROOT / name).is_file():
            continue
        for mention in MENTION.findall((ROOT / name).read_text(encoding="utf-8")):
            found += 1
            if why := broken(ROOT / "README.md", mention):
                wrong.append(f"{name}: {why}")
    assert wrong == [] and found > 20


def test_every_page_is_in_the_navigation() -> None:
    _, _, nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")
    listed = re.findall(r"([\w/-]+\.md)$", nav, flags=re.M)
    assert sorted(listed) == sorted(p.relative_to(DOCS).as_posix() for p in PAGES)


def test_every_public_name_is_in_the_pages_of_the_api() -> None:
    text = "".join(p.read_text() for p in (DOCS / "api").glob("*.md"))
    shown = set()
    for block, members in re.findall(
        r"^::: (\S+)(?:\n    options:\n      members: \[([^\]]*)\])?", text, flags=re.M
    ):
        names = members.replace(",", " ").split()
        if not names and _is_module(block):
            names = importlib.import_module(block).__all__
        shown |= {block, *(f"{block}.{n}" for n in names)}
    public = {n: getattr(sterna, n) for n in sterna.__all__}
    assert [n for n, v in public.items() if f"{v.__module__}.{v.__qualname__}" not in shown] == []


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a name in a module
        return False


def test_the_map_of_rooms_is_the_one_that_imports_are_held_to() -> None:
    path = Path(__file__).with_name("test_packaging.py")
    spec = importlib.util.spec_from_file_location("packaging_of_docs", path)
    assert spec is not None and spec.loader is not None
    packaging = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(packaging)
    rows = re.findall(
        r"^\| `(\w+)/(\w+)` \|.*\| ([^|]*) ?\|$", (DOCS / "architecture.md").read_text(), re.M
    )
    told = {f"{f}.{r}": {f"{f}.{n}" for n in re.findall(r"`(\w+)`", m)} for f, r, m in rows}
    assert told == packaging.ROOMS


PACKAGES = "golden|gen|hw|sim|host|train|front"
FOLDERS = f"{PACKAGES}|sterna|tests|benchmarks|examples|docs"


def test_files_and_names_of_the_pages_are_there() -> None:
    """`gen/fold/solve.py`, `tests/system`, `gen.fold.solve` and `gen.fold.solve.solve`, but of
    files in a build folder (`sim/NAME_taps.v`)."""
    wrong, found = [], 0
    for page in [*PAGES, *OTHERS]:
        if page.name == "CHANGELOG.md":  # tells of what was
            continue
        for span in re.findall(r"`([^`\n]+)`", page.read_text()):
            if re.fullmatch(rf"({FOLDERS})/[\w/.]+", span) and "NAME" not in span:
                found += 1
                wrong += [f"{page.name}: {span}"] * (not (ROOT / span).exists())
            elif name := re.match(rf"(?:sterna\.)?((?:{PACKAGES})(?:\.\w+)+)", span):
                found += 1
                wrong += [f"{page.name}: {span}"] * (not _has(name[1].split(".")))
    assert wrong == [] and found > 100


def _has(parts: list[str]) -> bool:
    """Whether the words name a module or folder, or a name that stands in the module."""
    for k in range(len(parts), 0, -1):
        place = ROOT.joinpath(*parts[:k])
        if (module := place.with_suffix(".py")).is_file():
            return not parts[k:] or re.search(rf"\b{parts[k]}\b", module.read_text()) is not None
        if place.is_dir():
            return k == len(parts)
    return False
