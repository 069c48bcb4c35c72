"""A page of HTML as tests look at it: elements with ids, links, what is loaded, figures."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "link", "img", "br", "hr", "input", "wbr"}
LOADS = {"src", "srcset", "data", "poster", "action", "xlink:href", "background"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """elements: all, in order of their start; text: what is read, without scripts and styles."""

    html: str
    elements: list[Element] = field(default_factory=list)
    text: str = ""
    open: list[Element] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        self.close()
        assert not self.open, f"never closed: {[e.tag for e in self.open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({k for k, _ in attrs}) == len(attrs), f"<{tag}> has an attribute twice"
        element = Element(tag, {k: v or "" for k, v in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1].tag == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data
        if not {"script", "style"} & {e.tag for e in self.open}:
            self.text += data

    def having(self, attribute: str) -> list[Element]:
        return [e for e in self.elements if attribute in e.attributes]

    @property
    def ids(self) -> list[str]:
        return [e.attributes["id"] for e in self.having("id")]

    @property
    def targets(self) -> set[str]:
        """Of links inside the page."""
        found = {e.attributes["href"] for e in self.having("href")}
        return {href[1:] for href in found if href.startswith("#")}

    @property
    def loaded(self) -> list[str]:
        """Everything that is fetched from somewhere or leads away."""
        out = []
        for e in self.elements:
            for key, value in e.attributes.items():
                if key in LOADS or (key == "href" and not value.startswith("#")):
                    out.append(value)
        return [value for value in out if not value.startswith("data:")]


def at(report: Any, pointer: str) -> Any:
    """What a JSON pointer says of a report."""
    for part in pointer.split("/")[1:]:
        part = part.replace("~1", "/").replace("~0", "~")
        report = report[int(part)] if isinstance(report, list) else report[part]
    return report


def says(text: str, value: Any) -> bool:
    """Whether a text is a value, rounded to the digits that it has."""
    if isinstance(value, str | bool) or value is None:
        return text == str(value)
    shown = text.removesuffix("%").replace(",", "")
    digits, _, exponent = shown.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    scale = 100 if text.endswith("%") else 1
    return abs(float(shown) - value * scale) <= unit / 2 * (1 + 1e-9)
