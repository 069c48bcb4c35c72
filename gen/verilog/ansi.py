"""Ports where a reader looks for them: in the head of each module, one a line.

yosys writes a list of names, and what they are somewhere below. Here the head of each module is
written anew from those lines (ANSI, Verilog-2005); the rest of the text stays as it is. Nothing is
guessed: what is not exactly as yosys writes it is refused.
"""

import re

from sterna.golden.errors import DesignError

__all__ = ["START", "ansi"]

START = "_start_"
"""The name that it gets: of other signals none begins so."""

_NAME = r"(?:[A-Za-z_]\w*|\\\S+ )"
_HEAD = re.compile(rf"module ({_NAME}) ?\(({_NAME}(?:\s*, {_NAME})*\s*)?\);\n")
_NOTES = r"(?:  \(\*[^\n]*\*\)\n)*"
_RANGE = r"(?: signed)?(?: \[\d+:\d+\])?"
_PORT = re.compile(
    rf"(?P<notes>{_NOTES})"
    rf"  (?P<way>input|output|inout)(?P<range>{_RANGE}) (?P<name>{_NAME});\n"
    rf"  (?P<kind>wire|reg)(?P=range) (?P=name)(?P<init> ?= [^;\n]+)?;\n"
)
_START = r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ "
"""The register by which yosys has simulators compute each block once at the start."""
_LEFT = re.compile(r"^ *(?:input|output|inout)\b", re.M)


def ansi(verilog: str) -> str:
    """The same modules with their ports declared in their heads, in the order that they have.

    Raises
    ------
    DesignError
        The text is not as yosys writes it.
    """
    head, *modules = re.split(r"^(?=module )", verilog, flags=re.M)
    text = "".join(map(_module, modules))
    # An initial value would be there before a block waits, in what reads it as SystemVerilog.
    text = re.sub(rf"  reg {_START} = 0;\n", f"  reg {START};\n  initial {START} = 0;\n", text)
    return head + re.sub(_START, START, text)


def _module(text: str) -> str:
    head = _HEAD.match(text)
    if head is None:
        line = text.partition("\n")[0]
        raise DesignError(
            f"the Verilog has a module that is not as yosys writes it, '{line[:60]}'; report this"
        )
    names = re.findall(_NAME, head[2] or "")
    ports: dict[str, str] = {}

    def take(found: re.Match[str]) -> str:
        name, init = found["name"], found["init"] or ""
        ports[name] = (
            f"{found['notes']}  {found['way']} {found['kind']}{found['range']} {name}{init}"
        )
        return ""

    body = _PORT.sub(take, text[head.end() :])
    if set(ports) != set(names) or len(names) != len(set(names)) or _LEFT.search(body):
        raise DesignError(
            f"module {head[1]} has ports that are not as yosys writes them; report this"
        )
    if not names:
        return text
    listed = ",\n".join(ports[name] for name in names)
    return f"module {head[1]}(\n{listed}\n);\n{body}"
