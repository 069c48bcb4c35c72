"""Whether a report that was read is of a build: its ids, the figures that follow from the build,
and the results of its images, computed anew."""

from collections.abc import Mapping, Sequence
from typing import Any

from sterna.golden.errors import FileError
from sterna.golden.result import Result
from sterna.golden.words.names import show
from sterna.host.selftest.facts import ADAPTER, BY_BUILD, PORT, Facts
from sterna.host.selftest.known import MOST_IMAGES
from sterna.host.selftest.pictures import RANDOM, Pictures, random_pictures, results_digest
from sterna.host.selftest.report import PASSED, SIMULATED, STAGES

__all__ = ["check_against"]

_BY_IDS = ("design.json", "network.json", "weights.sterna")
"""Files whose ids say what they are; other bytes may be another form, or other predictions."""


class _Comparison:
    """A report beside a build. equal: what was found, a line each."""

    def __init__(self, report: Mapping[str, Any], build: Facts):
        self.report, self.build = report, build
        self.stages: Mapping[str, Any] = report["stages"]
        self.equal: list[str] = []

    def need(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise FileError(
                f"the report's {what} is {show(found, 80)}, that of {self.build.folder} is "
                f"{show(wanted, 80)}; give the build that was tested"
            )
        self.equal.append(f"{what} is that of the build")

    def passed(self, name: str) -> bool:
        return self.stages[name]["outcome"] == PASSED

    def figures(self, name: str) -> Mapping[str, Any]:
        return self.stages[name]["figures"]

    def files(self) -> bool:
        """Ids and files; whether design.json is the one of the test, to the byte."""
        design, build = self.report["design"], self.build
        known = build.as_dict(design["structure_id"])  # of now, or made earlier
        for key in ("name", "structure_id", "weights_id"):
            self.need(key, design[key], known[key])
        for name, value in design["sha256"].items():
            if name not in build.hashes:
                self.equal.append(f"not compared: {name}, which the build does not have")
            elif name in _BY_IDS and value != build.hashes[name]:
                self.equal.append(f"sha256 of {name} is another; its ids are those of the build")
            else:
                self.need(f"sha256 of {name}", value, build.hashes[name])
        return design["sha256"]["design.json"] == build.hashes["design.json"]

    def board(self) -> None:
        """What bitstream.json says of a board and its line."""
        board, line, made = self.report["board"], self.report["line"], self.build.made or {}
        if board["named_by"] == BY_BUILD and made:
            self.need("name of the board", board["name"], made.get("board"))
        baud = self.build.of_bitstream("baud")
        if baud and line["kind"] in (ADAPTER, PORT) and board["kind"] != SIMULATED:
            self.need("baud rate", line["baud"], baud)

    def derived(self, same_design: bool) -> None:
        """The figures of stages that follow from the build."""
        for name in filter(self.passed, STAGES):
            for key, value in self.build.figures(name).items():
                found = self.figures(name).get(key)
                if name == "speed" and found is None:  # made without a bitstream, or simulated
                    continue
                if name != "counters" or same_design:
                    self.need(f"{key} of stage {name}", found, value)
        if not self.passed("counters"):
            return
        counted, bounds = self.figures("counters"), self.build.clocks
        each = counted["clocks_per_image"]
        if not same_design and not (bounds and bounds[0] <= each <= bounds[1]):
            raise FileError(
                f"an image took {each:.6g} clocks, which are not those of {self.build.folder} "
                f"({self.build.design.get('interval')}); give the build that was tested"
            )
        names, cores = set(counted["stalls"]), self.build.cores
        numbers = {f"core{k}" for k in range(len(names))}
        if cores is not None and names != numbers:  # by the build's csr.json, where it had one
            self.need("names of cores", sorted(names), sorted(cores))

    def images(self, pictures: Sequence[Pictures]) -> None:
        """The results of the images, computed again."""
        rows = self.figures("images").get("sets", [])
        for row in rows:
            name, count = row.get("set"), row.get("images", 0)
            given = next((p for p in pictures if p.name == name), None)
            if name == RANDOM and 0 < count <= MOST_IMAGES:
                given = random_pictures(self.build.network, count)
            if given is None or "results_sha256" not in row:
                without = ", and how many of them are right" if "right" in row else ""
                self.equal.append(f"not compared: the images '{name}', which are not here{without}")
                continue
            digest = given.as_dict()["images_sha256"]
            self.need(f"digest of the images '{name}'", row.get("images_sha256"), digest)
            if self.passed("images"):
                self.results(row, given)

    def results(self, row: Mapping[str, Any], given: Pictures) -> None:
        name, golden = row["set"], given.expected
        self.need(
            f"digest of the results of '{name}'", row["results_sha256"], results_digest(golden)
        )
        if name == RANDOM and self.passed("robustness"):
            first = results_digest(Result(golden.logits[:1], golden.classes[:1]))
            found = self.figures("robustness")["results_sha256"]
            self.need("result of stage robustness", found, first)
        if (right := given.right(golden)) is not None:
            self.need(f"number of '{name}' that are right", row.get("right"), right)
        elif "right" in row:
            self.equal.append(f"not checked: how many of '{name}' are right; labels are not here")


def check_against(
    report: Mapping[str, Any], build: Facts, pictures: Sequence[Pictures] = ()
) -> list[str]:
    """Compare a report that was read with a build; returns what was found equal, a line each.
    ``pictures``: sets of images to compute again beside the random ones, by their names.

    FileError where anything differs."""
    found = _Comparison(report, build)
    same_design = found.files()
    found.board()
    found.derived(same_design)
    found.images(pictures)
    return found.equal
