"""Shows that two versions of Sterna make the same files of the shipped examples, byte for byte.

    python tests/helpers/same_bytes.py COMMIT [EXAMPLE ...] [--except PATTERN ...]

Builds each example (Verilog, memory images, weights image, design.json, register map, bench) with
the sources of COMMIT, taken from a git worktree, and with those of the working tree, then compares.
``stages.json`` is left out: it records the generator. ``--except`` leaves out files by name, such
as ``*.v``, where a commit changes them on purpose. Ends with 1 and a line for each file that
differs.
"""

import argparse
import fnmatch
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = (
    "digits",
    "mnist",
    "mnist_binary",
    "peer_conv8",
    "peer_mlp",
    "skip4_mix",
    "nmnist",
    "ttfs",
    "resnet20",
)
FOLDERS = ("golden", "train", "hw", "gen", "sim", "host", "front")
CODE = "import sys; from sterna.cli import main; sys.exit(main(sys.argv[1:]))"


def package(tree: Path, place: Path) -> Path:
    """A folder for PYTHONPATH whose package ``sterna`` is that of ``tree``."""
    inside = place / "sterna"
    inside.mkdir(parents=True, exist_ok=True)
    names = {p.name: p for p in (tree / "sterna").iterdir() if p.name != "__pycache__"}
    names |= {name: tree / name for name in FOLDERS if (tree / name).is_dir()}
    for name, target in names.items():
        link = inside / name
        if link.is_symlink():
            link.unlink()
        link.symlink_to(target)
    return place


def build(tree: Path, work: Path, example: str) -> dict[str, bytes]:
    """Name -> contents of what ``tree`` makes of an example."""
    out = work / "out" / example
    env = os.environ | {"PYTHONPATH": str(package(tree, work / "path"))}
    # -P: not the folder it runs in, where only a part of `sterna` would be found
    subprocess.run(
        [
            sys.executable,
            "-P",
            "-c",
            CODE,
            "verilog",
            str(ROOT / "examples" / example),
            "-o",
            str(out),
        ],
        check=True,
        env=env,
        cwd=tree,
        stdout=subprocess.DEVNULL,
    )
    return {
        str(p.relative_to(out)): p.read_bytes()
        for p in sorted(out.rglob("*"))
        if p.is_file() and p.name not in ("stages.json", ".lock")
    }


def differences(old: dict[str, bytes], new: dict[str, bytes], left_out: list[str]) -> list[str]:
    out = []
    for name in sorted(set(old) | set(new)):
        if any(fnmatch.fnmatch(name, pattern) for pattern in left_out):
            continue
        if name not in new:
            out.append(f"{name}: is no longer made")
        elif name not in old:
            out.append(f"{name}: is new")
        elif old[name] != new[name]:
            out.append(f"{name}: differs ({len(old[name])} and {len(new[name])} bytes)")
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("commit")
    parser.add_argument("examples", nargs="*", default=EXAMPLES)
    parser.add_argument("--except", dest="left_out", action="append", default=[])
    args = parser.parse_args()
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", args.commit],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    work = ROOT / "build" / "same_bytes"
    tree = work / f"tree-{commit}"
    if not tree.exists():
        subprocess.run(
            ["git", "worktree", "add", "-q", "--detach", str(tree), commit], cwd=ROOT, check=True
        )
    bad = 0
    try:
        for example in args.examples:
            old = build(tree, work / "old", example)
            found = differences(old, build(ROOT, work / "new", example), args.left_out)
            bad += len(found)
            print(f"{example}: {len(old)} files, {len(found)} differ", flush=True)
            print("".join(f"    {line}\n" for line in found), end="")
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=ROOT, check=False)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
