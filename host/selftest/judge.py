"""What the figures of a stage mean: its limits, and its sentence. Each is a function of the figures
alone, called where the stage runs and where a report is verified, so both say the same."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from sterna.golden.device.clocks import clocks_of
from sterna.host.reader import LinkStats
from sterna.host.selftest.pictures import EXPECTED_BY, RANDOM

__all__ = [
    "FEW",
    "MANY",
    "PINGS",
    "Known",
    "Wrong",
    "cut_of",
    "judged",
    "line_rate",
    "link_rate",
    "need_counted",
    "need_found",
    "rounded",
    "shaped",
]

PINGS = 200
"""Reads that are timed."""
SLOW = 0.1
"""Seconds: no adapter takes so long for a read, of which some milliseconds are the line's."""
LOSSES = 0.01
"""Share of frames that go again, or arrive damaged, from which on a cable is called bad."""
FEW, MANY = 16, 128
"""Repetitions at least and at most of the clocks of an image."""
CLOCK_ERROR = 0.05
"""Share by which the measured clock may be off: a look at the board takes milliseconds."""
LEAST_SHARE = 0.25
"""Of the images a second that the line could carry, or the design compute: a slow line is below."""
SETTLE = 0.2
"""Seconds that may go by with something else."""
LINE_BITS, PAYLOAD = 10, 0.95
"""Of a byte on the line; share of its bytes that are images'."""
SAME = 1e-5
"""Two figures that were rounded are one within this."""
_LONG, _SHORT = re.compile(r"[0-9a-f]{64}\Z"), re.compile(r"[0-9a-f]{16}\Z")
DIGITS = 6
"""Of a figure that is not a whole number."""
_FASTEST = 1e18
"""Rates are below, also where a board in Python takes no time."""
_MOST = 1 << 32
"""Figures are below: registers have 32 bits."""


class Wrong(Exception):
    """A stage found something wrong. ``ends``: nothing after it would mean anything."""

    def __init__(self, reason: str, ends: bool = False):
        super().__init__(reason)
        self.reason, self.ends = reason, ends


def rounded(value: float) -> float:
    """A figure as reports have it."""
    return float(f"{value:.{DIGITS}g}")


@dataclass(frozen=True)
class Known:
    """What judges of a stage. design: that part of a report. figures: of each stage so far. baud:
    of the line. simulated: time and losses are those of the computer that simulates."""

    design: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Any]]
    baud: int
    simulated: bool

    @property
    def sets(self) -> list[dict[str, Any]]:
        return list(self.figures["images"]["sets"])


def judged(name: str, known: Known) -> str:
    """What a stage found, in words. `Wrong` where its figures are not those of a right board."""
    if name not in ("identify", "cable") and known.design["structure_id"] is None:
        raise Wrong("there is no build, so nothing says what is right")
    return _JUDGES[name](known.figures[name], known)


def _identify(found: Mapping[str, Any], known: Known) -> str:
    structure, weights, design = found["structure_id"], found["weights_id"], known.design
    if not _SHORT.match(structure) or (weights is not None and not _SHORT.match(weights)):
        raise Wrong("an id has not 16 hexadecimal digits; report this mistake")
    if design["structure_id"] is not None:
        if structure != design["structure_id"][:16]:
            raise Wrong(
                f"the board has structure_id {structure}, its build {design['structure_id'][:16]}; "
                "program the build's bitstream",
                ends=True,
            )
        if not found["regions"] and weights != design["weights_id"][:16]:
            raise Wrong(
                f"the board's bitstream has the weights {weights}, the build "
                f"{design['weights_id']}; program the build's bitstream, or put the weights into "
                "it with 'sterna patch'",
                ends=True,
            )
    return f"structure {structure}, weights {weights or 'none yet'}"


def _cable(found: Mapping[str, Any], known: Known) -> str:
    spent, times = found["link"], found["round_trip_seconds"]
    middle, simulated = times["median"], known.simulated
    if found["wrong"]:
        what = "please report it" if simulated else "check the cable"
        raise Wrong(
            f"{found['wrong']} of {found['reads']} reads came back wrong; {what}", ends=True
        )
    # Every read is a frame, and answered by one.
    asked, came = spent["frames_sent"], spent["frames_received"]
    counted = found["reads"] == PINGS and PINGS <= min(asked, came)
    whole = (
        asked <= spent["payload_sent"] <= spent["bytes_sent"] and came <= spent["bytes_received"]
    )
    if not counted or not whole or not times["least"] <= middle <= times["most"]:
        raise Wrong(f"the counts of {found['reads']} reads do not fit each other; please report it")
    frames = max(1, asked + came)
    lost = spent["damaged"] + spent["frames_resent"] + spent["timeouts"]
    bad = lost > max(1, LOSSES * frames)
    if bad and not simulated:
        raise Wrong(
            f"a bad cable or baud rate: of {frames} frames {spent['damaged']} arrived damaged, "
            f"{spent['frames_resent']} went again and {spent['timeouts']} were waited for in vain; "
            "try a shorter cable or another adapter, or build for a lower --baud"
        )
    if middle > SLOW and not simulated:
        raise Wrong(
            f"a slow line: a read takes {middle:.3g} s, where an adapter takes a few milliseconds; "
            "connect the board to this computer itself, not through a network"
        )
    judged = " (a simulation's, not judged)" if simulated else ""
    lost_words = f"{lost} of {frames} frames again or damaged" if lost else "no frame lost"
    if bad:  # in simulation, which has no cable
        lost_words += ", as this computer was busy: not judged, either"
    return f"{found['reads']} reads right, {1000 * middle:.2f} ms each{judged}, {lost_words}"


def _load(found: Mapping[str, Any], known: Known) -> str:
    count, words = found["regions"], found["words"]
    if found["weights_id"] != known.design["weights_id"]:
        raise Wrong("other weights than the build's were loaded; please report it")
    if not 0 < count == known.figures["identify"]["regions"] or words < count:
        raise Wrong(
            f"{words} words went into {count} memories, where the board has "
            f"{known.figures['identify']['regions']}; please report it"
        )
    return f"{count} memories, {words} words, each with the CRC-32 of its file"


def _images(found: Mapping[str, Any], known: Known) -> str:
    said, classes = [], known.figures["identify"]["classes"]
    if found["expected_by"] != EXPECTED_BY or not known.sets or known.sets[0]["set"] != RANDOM:
        raise Wrong(f"its images are not '{RANDOM}' at first, or not judged by {EXPECTED_BY}")
    for row in known.sets:
        count, right = row["images"], row.get("right")
        name = f"{count} {row['set']}"
        if row["results_sha256"] != row["golden_sha256"]:
            raise Wrong(f"the results of {name} are not golden's")
        if not all(_LONG.match(row[key]) for key in ("images_sha256", "results_sha256")):
            raise Wrong(f"{name} have no digests")
        if not count or row["logits"] != count * classes:
            raise Wrong(f"{name} have {row['logits']} logits, of {classes} classes")
        if right is not None and right > count:
            raise Wrong(f"{right} of {name} are right")
        said.append(name if right is None else f"{name}, {right} of them right")
    logits = sum(row["logits"] for row in known.sets)
    return f"all {logits} logits equal golden: {'; '.join(said)}"


def need_found(found: Mapping[str, Any]) -> None:
    """`Wrong` where the memory with a turned bit is not the one that was found."""
    if found["found"] != [found["damaged"]]:
        raise Wrong(
            f"a bit was turned in {found['damaged']}, and the board's CRC passes find "
            f"{', '.join(found['found']) or 'nothing'}; report this mistake of the design",
            ends=True,
        )


def _reload(found: Mapping[str, Any], known: Known) -> str:
    need_found(found)
    first = known.sets[0]
    if found["regions"] != known.figures["identify"]["regions"]:
        raise Wrong(f"{found['regions']} memories, where the board has others; please report it")
    if any(found[key] != first[key] for key in ("images", "results_sha256")):
        raise Wrong("weights loaded behind images change what is computed")
    return (
        f"a bit turned in {found['damaged']} is found, and images are as before after loading again"
    )


def need_counted(found: Mapping[str, Any], known: Known) -> None:
    """`Wrong` where the images that were computed are not those that are counted."""
    count, dropped = known.sets[0]["images"], found["dropped_early"] + found["dropped_late"]
    if found["images"] != count:
        raise Wrong(f"{count} images were computed, the board counts {found['images']}")
    if dropped:
        raise Wrong(
            f"{dropped} images had a wrong length on their way into the network; report this "
            "mistake of the design"
        )


def _counters(found: Mapping[str, Any], known: Known) -> str:
    need_counted(found, known)
    count, each, law = found["images"], found["clocks_per_image"], found.get("law")
    repeated, cores = found["repetitions"], known.figures["identify"]["cores"]
    if not FEW <= repeated <= MANY or not each or len(found["stalls"]) != cores:
        raise Wrong(f"{repeated} repetitions of {cores} cores were not measured; please report it")
    bounds = clocks_of({"interval": law, "modelled_interval": found.get("modelled")})
    if bounds is None:
        return f"{count} images counted, {each:.6g} clocks each; design.json has no law"
    if not bounds[0] <= each <= bounds[1]:
        raise Wrong(
            f"an image takes {each:.6g} clocks, by design.json {law} ({bounds[0]:.6g} to "
            f"{bounds[1]:.6g} are allowed); the bitstream is of another folding, or the model is "
            "wrong: please report it"
        )
    return f"{count} images counted, none dropped; {each:.6g} clocks each, the law {law}"


def link_rate(count: int, seconds: float) -> float:
    """Images a second."""
    return rounded(count / max(seconds, 1e-9))


def line_rate(baud: int, image_bytes: int) -> float:
    """Images a second that a line can carry."""
    return rounded(PAYLOAD * baud / LINE_BITS / image_bytes)


def _speed(found: Mapping[str, Any], known: Known) -> str:
    last, over = known.sets[-1], found["images_per_second_over_the_link"]
    count, seconds = last["images"], last["seconds"]
    if not _same(over, link_rate(count, seconds)):
        raise Wrong(f"{count} images took {seconds} s, which is not {over} a second")
    if known.simulated:
        return f"{over:.6g} images a second of a simulation over the link; not judged"
    board, clock = known.figures["identify"], found["clock_mhz"]
    alone, wanted = found["images_per_second_without_the_link"], found["clock_mhz_of_the_bitstream"]
    if wanted is not None and abs(clock - wanted) > CLOCK_ERROR * wanted:
        raise Wrong(
            f"the board's clock is {clock:.4g} MHz, that of its bitstream {wanted:.4g}; "
            "was it programmed with the build's bitstream?"
        )
    each = known.figures["counters"]["clocks_per_image"]
    if not clock or abs(alone * each - clock * 1e6) > CLOCK_ERROR * clock * 1e6:
        raise Wrong(
            f"{alone:.6g} images a second of {each:.6g} clocks are no clock of {clock:.4g} MHz; "
            "please report it"
        )
    line = found["line_images_per_second"]
    if not _same(line, line_rate(known.baud, board["image_bytes"])):
        raise Wrong(f"{known.baud} baud do not carry {line} images a second")
    # As many as fit, and a round trip for every few that may be under way.
    trips = 2 + count / board["slots"]
    middle = known.figures["cable"]["round_trip_seconds"]["median"]
    if seconds > (count / min(line, alone) + trips * middle) / LEAST_SHARE + SETTLE:
        raise Wrong(
            f"a slow line: {over:.4g} images a second, where {line:.4g} fit through it and the "
            f"design computes {alone:.4g}; connect the board to this computer itself"
        )
    return (
        f"{over:.6g} images a second over the link, {alone:.6g} without it, by a clock of "
        f"{clock:.5g} MHz"
    )


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=SAME)


def cut_of(size: int) -> int:
    """Bytes of an image that is cut short."""
    return max(1, size // 2)


def _robustness(found: Mapping[str, Any], known: Known) -> str:
    size, cut, dropped = found["image_bytes"], found["sent_bytes"], found["dropped"]
    if dropped not in (0, 1):
        raise Wrong(
            f"one image was cut short, the board counts {dropped}; please report this mistake of "
            "its design"
        )
    if size != known.figures["identify"]["image_bytes"] or cut != cut_of(size) or size < 2:
        raise Wrong(f"{cut} of {size} bytes are no half of this board's images; please report it")
    return f"{cut} of {size} bytes of an image are dropped, the next image is as before"


_JUDGES: dict[str, Callable[[Mapping[str, Any], Known], str]] = {
    "identify": _identify,
    "cable": _cable,
    "load": _load,
    "images": _images,
    "reload": _reload,
    "counters": _counters,
    "speed": _speed,
    "robustness": _robustness,
}

# --- form -----------------------------------------------------------------------------------------

_GIVEN = (int, float, type(None))
"""A number as a file of the build has it."""
_SECONDS = "seconds"
_SET = dict.fromkeys(("set", "images_sha256", "golden_sha256", "results_sha256"), str)
_SHAPES: dict[str, Any] = {
    "identify": {
        **dict.fromkeys(("image_bytes", "classes", "buffer", "slots", "cores", "regions"), int),
        "structure_id": str,
        "weights_id": (str, type(None)),
        "held": bool,
        "version": int,
    },
    "cable": {
        "reads": int,
        "wrong": int,
        "round_trip_seconds": dict.fromkeys(("median", "least", "most"), _SECONDS),
        "link": {f.name: int for f in fields(LinkStats)},
    },
    "load": {"regions": int, "weights_id": str, "words": int, "load_seconds": _SECONDS},
    "images": {
        "expected_by": str,
        "sets": [{**_SET, "images": int, "logits": int, "seconds": _SECONDS, "right?": int}],
    },
    "reload": {
        "regions": int,
        "damaged": str,
        "found": [str],
        "images": int,
        "results_sha256": str,
    },
    "counters": {
        **dict.fromkeys(("images", "image_clocks", "dropped_early", "dropped_late"), int),
        "repetitions": int,
        "stalls": {"": int},
        "clocks_per_image": float,
        "law?": _GIVEN,
        "modelled?": _GIVEN,
    },
    "speed": {
        "images_per_second_over_the_link": float,
        "images_per_second_without_the_link?": float,
        "clock_mhz?": float,
        "clock_mhz_of_the_bitstream?": _GIVEN,
        "line_images_per_second?": float,
    },
    "robustness": {"image_bytes": int, "sent_bytes": int, "dropped": int},
}
"""Of a stage that passed. A key with a question mark may be missing; an empty one is any name."""


def shaped(name: str, figures: Mapping[str, Any]) -> bool:
    """Whether figures are of the kinds that a stage leaves which passed."""
    return _fits(figures, _SHAPES[name])


def _fits(value: Any, shape: Any) -> bool:
    if isinstance(shape, list):
        return isinstance(value, list) and all(_fits(v, shape[0]) for v in value)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return False
        if "" in shape:
            return all(_fits(v, shape[""]) for v in value.values())
        known = {key.removesuffix("?"): kind for key, kind in shape.items()}
        return all(key in value or f"{key}?" in shape for key in known) and all(
            key in known and _fits(v, known[key]) for key, v in value.items()
        )
    if shape == _SECONDS:
        return _fits(value, float) and value < _MOST
    if type(value) not in (shape if isinstance(shape, tuple) else (shape,)):
        return False
    if shape is float:
        return 0 <= value < _FASTEST and rounded(value) == value
    return not isinstance(value, int | float) or 0 <= value < _MOST
