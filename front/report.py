"""What became of every part of a foreign network: a verdict each, a table for people."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sterna.golden.errors import NetworkError
from sterna.golden.words.shown import Shown

__all__ = ["Report", "Verdict"]

EXACT, SUBSTITUTED, APPROXIMATED, REFUSED, LEFT_OUT = (
    "exact",
    "exact by substitution",
    "approximated",
    "refused",
    "left out",
)


@dataclass(frozen=True)
class Verdict:
    """Of one module of the foreign network: what it is, what became of it, and why."""

    path: str
    what: str
    verdict: str
    detail: str = ""
    node: str = ""


@dataclass(repr=False)
class Report(Shown):
    """Verdicts in the order in which the network computes."""

    verdicts: list[Verdict] = field(default_factory=list)

    def add(self, path: str, what: str, verdict: str, detail: str = "", node: str = "") -> None:
        self.verdicts.append(Verdict(path, what, verdict, detail, node))

    def note(self, node: str, text: str) -> None:
        """Add to what is said of ``node``."""
        for k, v in enumerate(self.verdicts):
            if v.node == node:
                detail = f"{v.detail}; {text}" if v.detail else text
                self.verdicts[k] = replace(v, detail=detail)

    @property
    def approximated(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.verdict == APPROXIMATED]

    def check(self, kind: str, approximate: bool) -> None:
        """NetworkError names the first ``kind`` ('node' ...) that is only approximated, unless
        ``approximate`` takes such."""
        if self.approximated and not approximate:
            v = self.approximated[0]
            raise NetworkError(
                f"{kind} '{v.path}': {v.detail}; give approximate=True (--approximate) to take it "
                "so"
            )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"verdicts": [asdict(v) for v in self.verdicts]}

    def table(self) -> str:
        """For people, at most 100 columns where names allow."""
        rows = [("module", "node", "what", "verdict")]
        rows += [(v.path or "-", v.node or "-", v.what, v.verdict) for v in self.verdicts]
        wide = [max(len(r[k]) for r in rows) for k in range(4)]
        lines = []
        for row, verdict in zip(rows, [None, *self.verdicts], strict=True):
            lines.append("  ".join(c.ljust(w) for c, w in zip(row, wide, strict=True)).rstrip())
            if verdict is not None and verdict.detail:
                lines.append(f"    {verdict.detail}")
        return "\n".join(lines)

    def line(self) -> str:
        """It in short: how many parts have which verdict."""
        found = [v.verdict for v in self.verdicts]
        return ", ".join(f"{found.count(word)} {word}" for word in dict.fromkeys(found))

    def __str__(self) -> str:
        return self.table()
