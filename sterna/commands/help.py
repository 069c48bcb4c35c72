"""What the help says around the arguments: commands in groups, an example line of each.

Nothing of weight is imported, so that ``sterna --help`` is quick.
"""

import argparse
import textwrap
from collections.abc import Iterable
from typing import Any

__all__ = ["FIRST", "GROUPS", "add_common", "add_level", "example_of", "first_steps", "grouped"]

GROUPS: tuple[tuple[str, dict[str, str]], ...] = (
    (
        "start here",
        {
            "demo": "sterna demo",
            "new": "sterna new tulips --data folder:photos/tulips --size 32x32",
            "doctor": "sterna doctor",
            "examples": "sterna examples mnist -o mine",
        },
    ),
    (
        "networks",
        {
            "train": "sterna train examples/digits -o runs/digits",
            "quantize": "sterna quantize runs/digits -o build/digits",
            "import": "sterna import mine.py:make --state mine.pt --data cifar10 -o runs/mine",
            "search": "sterna search examples/skipsearch -o runs/skips",
        },
    ),
    (
        "building",
        {
            "build": "sterna build examples/mnist --family ecp5 --fps 5000",
            "fold": "sterna fold examples/mnist --board ulx3s-85f",
            "pack": "sterna pack build/retrained --onto build/mnist -o new.sterna",
            "verilog": "sterna verilog examples/mnist",
            "report": "sterna report examples/mnist",
            "export": "sterna export examples/mnist --ip build/ip",
        },
    ),
    (
        "checking",
        {
            "eval": "sterna eval examples/mnist --images 1000",
            "sim": "sterna sim examples/mnist --images 100",
            "compare": "sterna compare examples/mnist",
            "lint": "sterna lint examples/digits",
            "synth": "sterna synth examples/digits --target ecp5",
            "power": "sterna power examples/digits --board icebreaker",
            "sweep": "sterna sweep seeds.toml --workers 4",
        },
    ),
    (
        "boards",
        {
            "bitstream": "sterna bitstream examples/mnist --board ulx3s-85f",
            "program": "sterna program build/mnist",
            "identify": "sterna identify --port /dev/ttyUSB0",
            "load": "sterna load build/mnist --port /dev/ttyUSB0",
            "infer": "sterna infer build/mnist --images 100 --port /dev/ttyUSB0",
            "counters": "sterna counters build/mnist --port /dev/ttyUSB0",
            "selftest": "sterna selftest build/mnist --port /dev/ttyUSB0",
            "patch": "sterna patch build/mnist new.sterna",
            "verify-bitstream": "sterna verify-bitstream build/mnist",
            "board-sim": "sterna board-sim examples/digits",
            "board-demo": "sterna board-demo --images 20",
        },
    ),
)
"""The commands by what they are for: of each the line that its help shows. What is in no group is
listed last (a test holds that to nothing)."""

FIRST = (
    ("sterna demo", "a trained network as Verilog, simulated on real images"),
    ("sterna doctor", "what is installed, and what installs the rest"),
    ("sterna new mine --data folder:PATH", "a recipe for your own pictures"),
)
"""Where somebody begins."""

_LEFT, _WIDTH = 19, 92


def example_of(name: str) -> str:
    """The line that shows a command; '' where there is none."""
    return next((rows[name] for _, rows in GROUPS if name in rows), "")


def grouped(texts: dict[str, str]) -> str:
    """All commands in their groups. ``texts``: of each name its one line."""
    known = {name for _, rows in GROUPS for name in rows}
    groups = [(title, [n for n in rows if n in texts]) for title, rows in GROUPS]
    groups.append(("others", [n for n in texts if n not in known]))
    parts = [
        f"{title}:\n" + "\n".join(_rows((n, texts[n]) for n in names))
        for title, names in groups
        if names
    ]
    return "\n\n".join(parts)


def first_steps(number: int) -> str:
    """What ``sterna`` alone says."""
    rows = "\n".join(_rows(FIRST, max(len(line) for line, _ in FIRST)))
    return (
        "Sterna turns ternary and binary spiking ConvNets into FPGA designs that compute the\n"
        f"same.\n\nfirst:\n{rows}\n\n"
        f"sterna --help lists all {number} commands, sterna COMMAND --help the options of one."
    )


def _rows(pairs: Iterable[tuple[str, str]], left: int = _LEFT) -> list[str]:
    out = []
    for name, text in pairs:
        lines = textwrap.wrap(text, _WIDTH - left - 4) or [""]
        out.append(f"  {name:<{left}}{'  '}{lines[0]}".rstrip())
        out += [" " * (left + 4) + line for line in lines[1:]]
    return out


class Formatter(argparse.HelpFormatter):
    """``-o, --output RUN`` where argparse says RUN twice; usage is that of `usage`."""

    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=26)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        # An example can be copied only where its line is whole.
        return text if text.startswith("example:") else super()._fill_text(text, width, indent)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


def usage(sub: argparse.ArgumentParser) -> str:
    """What a command must be given; the rest is in its help."""
    needed = [a for a in sub._actions if a.required and a.option_strings]
    places = [a for a in sub._actions if not a.option_strings]
    words = [
        sub.prog,
        *(f"[{a.metavar or a.dest}]" if a.nargs == "?" else str(a.metavar) for a in places),
        *(f"{a.option_strings[0]} {a.metavar or a.dest.upper()}" for a in needed),
        "[options]",
    ]
    return " ".join(words)


def add_common(sub: argparse.ArgumentParser) -> None:
    """What every command takes, as the last of its groups."""
    group = sub.add_argument_group("with every command")
    group.add_argument("-h", "--help", action="help", help="show this and leave")
    group.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    add_level(group)


def add_level(group: Any, top: bool = False) -> None:
    """-v and -q, into a parser or a group; before the command, too, where their default is."""
    default = 0 if top else argparse.SUPPRESS
    both = group.add_mutually_exclusive_group()
    both.add_argument(
        "-v",
        "--verbose",
        dest="level",
        action="store_const",
        const=1,
        default=default,
        help="also what each tool was called with, and its time",
    )
    both.add_argument(
        "-q",
        "--quiet",
        dest="level",
        action="store_const",
        const=-1,
        default=default,
        help="only results and errors",
    )
