"""What the figures of a stage mean: its limits, and its sentence; and whether a stage is skipped.
Each is a function of the figures alone, called where the stage runs and where a report is verified,
so both say the same."""

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from sterna.golden.device.clocks import clocks_of
from sterna.golden.device.link import BOARD_OVERHEAD, OVERHEAD
from sterna.host.registers import same_map
from sterna.host.selftest import known as limits
from sterna.host.selftest.known import (
    CLOCK_ERROR,
    FASTEST_CLOCK,
    LEAST_SHARE,
    LOSSES,
    MOST_IMAGES,
    SETTLE,
    SLOW,
    Known,
    Wrong,
    line_rate,
    link_rate,
)
from sterna.host.selftest.pictures import EXPECTED_BY, RANDOM
from sterna.host.selftest.schema import need_form, need_same

__all__ = ["PING_WORDS", "judged", "need_counted", "need_found", "why_skipped"]

PING_WORDS = 8
"""Registers of a read that is timed."""
SAME = 1e-5
"""Two figures that were rounded are one within this."""
TICK = 0.01
"""Seconds by which two looks at a clock may differ."""
_READ = 3
"""Bytes of a read's body."""
_ANSWER = BOARD_OVERHEAD + 4 + 4 * PING_WORDS
"""Bytes on the line of what answers it."""


def judged(name: str, known: Known) -> str:
    """What a stage found, in words. `Wrong` where its figures are not those of a right board, or
    not those that the other figures say."""
    need_form(name, known.figures[name])
    if reason := why_skipped(name, known):
        raise Wrong(f"there was nothing to do: {reason}")
    said = _JUDGES[name](known.figures[name], known)
    need_same(name, known)
    return said


def why_skipped(name: str, known: Known) -> str | None:
    """Why a stage has nothing to do, where it has."""
    return next((why for why, holds in _SKIPS.get(name, ()) if holds(known)), None)


def _unbuilt(known: Known) -> bool:
    return not known.built


def _fixed(known: Known) -> bool:
    return known.identity.get("regions") == 0


def _uncomputed(known: Known) -> bool:
    """No image was computed before."""
    rows = known.figures["images"].get("sets") or [{}]
    return "results_sha256" not in rows[0]


def _unmeasured(known: Known) -> bool:
    return _uncomputed(known) or "clocks_per_image" not in known.figures["counters"]


_SKIPS: dict[str, tuple[tuple[str, Callable[[Known], bool]], ...]] = {
    "load": (
        ("no build was given, so no weights", _unbuilt),
        ("fixed weights: nothing to load; the bitstream's rom_crc is that of the file", _fixed),
    ),
    "images": (("no build was given, so nothing says what is right", _unbuilt),),
    "reload": (
        ("no build was given, so no weights", _unbuilt),
        ("fixed weights: they are part of the bitstream", _fixed),
        ("the stage images did not come to an end", _uncomputed),
    ),
    "counters": (("no build was given, so no law", _unbuilt),),
    "speed": (("the stages images and counters did not come to an end", _unmeasured),),
    "robustness": (
        (
            "an image of one byte cannot be cut short",
            lambda known: known.identity.get("image_bytes") == 1,
        ),
        ("no build was given, so nothing says what is right", _unbuilt),
    ),
}
"""Of each stage the reasons to skip it, and where they hold; the first counts."""


def _identify(found: Mapping[str, Any], known: Known) -> str:
    structure, weights, design = found["structure_id"], found["weights_id"], known.design
    if not same_map(found["version"]):
        raise Wrong(f"its registers are of version {found['version']:#x}; please report it")
    if weights == "0" * 16:
        raise Wrong("weights_id 0 is that of no weights; please report it")
    if known.built:
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
    _need_counts(found, known)
    asked, came = spent["frames_sent"], spent["frames_received"]
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
    if bad:
        lost_words += f" ({spent['damaged']} arrived damaged; not judged, either)"
    return f"{found['reads']} reads right, {1000 * middle:.2f} ms each{judged}, {lost_words}"


def _need_counts(found: Mapping[str, Any], known: Known) -> None:
    """`Wrong` where what the link counts, and the times, are not those of so many reads: each is a
    frame, and answered by one; the first is not timed."""
    spent, times, reads = found["link"], found["round_trip_seconds"], limits.PINGS
    sent, came, polls = (spent[k] for k in ("frames_sent", "frames_received", "polls"))
    again, least = spent["frames_resent"], BOARD_OVERHEAD * came
    bytes_sent = (OVERHEAD + _READ) * (sent + again) + (OVERHEAD + 1) * polls
    trip, spread = OVERHEAD + _READ + _ANSWER, times["least"] <= times["median"] <= times["most"]
    half = reads // 2 * times["median"] + max(0, reads // 2 - 1) * times["least"]
    fits = (
        sent == reads + 1,
        spent["payload_sent"] == _READ * sent,
        spent["bytes_sent"] == bytes_sent,
        polls == spent["timeouts"],
        sent <= came <= 8 * (sent + again + polls),
        spent["stale"] + spent["foreign"] <= came,
        least + (_ANSWER - BOARD_OVERHEAD) * sent <= spent["bytes_received"] + _ANSWER,
        spent["damaged"] or spent["bytes_received"] <= _ANSWER * (came + 2),
        spread,
        _within(half, "cable", known),
    )
    if times["least"] < known.carried(trip):
        raise Wrong(
            f"a read took {times['least']:.3g} s, in which {known.baud} baud do not carry one, so "
            "this is no serial line; name the port of the board's own adapter"
        )
    if not all(fits):
        raise Wrong(f"the counts of {found['reads']} reads do not fit each other; please report it")


def _within(seconds: float, name: str, known: Known) -> bool:
    """What took so long in a stage took no longer than the stage."""
    return not known.real or seconds <= known.seconds[name] * (1 + SAME) + TICK


def _load(found: Mapping[str, Any], known: Known) -> str:
    count, words = found["regions"], found["words"]
    if found["weights_id"] != known.design["weights_id"]:
        raise Wrong("other weights than the build's were loaded; please report it")
    if not 0 < count == known.identity["regions"] or words < count:
        raise Wrong(
            f"{words} words went into {count} memories, where the board has "
            f"{known.identity['regions']}; please report it"
        )
    took = found["load_seconds"]
    if not _within(took, "load", known) or took < known.carried(4 * words):
        raise Wrong(f"{words} words were loaded in {took} s, which cannot be; please report it")
    return f"{count} memories, {words} words, each with the CRC-32 of its file"


def _images(found: Mapping[str, Any], known: Known) -> str:
    sets = known.sets
    if found["expected_by"] != EXPECTED_BY or not sets or sets[0]["set"] != RANDOM:
        raise Wrong(f"its images are not '{RANDOM}' at first, or not judged by {EXPECTED_BY}")
    if sets[0]["images"] > MOST_IMAGES:
        raise Wrong(f"{sets[0]['images']} images are {RANDOM}, at most {MOST_IMAGES:,} can be")
    if len(sets) > 2 or any(row["set"] == RANDOM for row in sets[1:]):
        raise Wrong("it has more than random images and one set of others")
    if "changed_memories" in found:
        raise Wrong("memories had changed")
    if not _within(sum(row["seconds"] for row in sets), "images", known):
        raise Wrong("its images took longer than it; please report it")
    logits = sum(row["logits"] for row in sets)
    return f"all {logits} logits equal golden: {'; '.join(_set(row, known) for row in sets)}"


def _set(row: Mapping[str, Any], known: Known) -> str:
    """Images of one kind, in words; `Wrong` where they are not right."""
    count, right, classes = row["images"], row.get("right"), known.identity["classes"]
    name = f"{count} {row['set']}"
    if row["results_sha256"] != row["golden_sha256"]:
        raise Wrong(f"the results of {name} are not golden's")
    if row["logits"] != count * classes:
        raise Wrong(f"{name} have {row['logits']} logits, of {classes} classes")
    if right is not None and (right > count or row["set"] == RANDOM):
        raise Wrong(f"{right} of {name} are right")
    said = _COUNT.search(row["set"])
    if said is not None and int(said[1] or said[2]) != count:
        raise Wrong(f"there are {count} images of the set '{row['set']}'")
    if row["seconds"] < known.carried(count * known.identity["image_bytes"]):
        raise Wrong(
            f"{name} took {row['seconds']} s, where {known.baud} baud do not carry them in; please "
            "report it"
        )
    return name if right is None else f"{name}, {right} of them right"


_COUNT = re.compile(r"\A([0-9]{1,10}) files\Z|, the first ([0-9]{1,10})\Z")
"""Of a set's images, in its name."""


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
    last = f"region {known.identity['regions'] - 1}"
    if not re.fullmatch(rf"{last}( \((weights|parameters) of .+\))?", found["damaged"]):
        raise Wrong(f"a bit was turned in {found['damaged']}, not in {last}; please report it")
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
    count, each, law = found["images"], found["clocks_per_image"], found["law"]
    if len(found["stalls"]) != known.identity["cores"]:
        raise Wrong(f"{len(found['stalls'])} cores have stalls, not those of the board")
    if found["results_sha256"] != known.sets[0]["results_sha256"]:
        raise Wrong("images that were computed again, to be counted, gave other results")
    bounds = clocks_of({"interval": law, "modelled_interval": found["modelled"]})
    if bounds is None:
        raise Wrong(f"design.json says {law} clocks an image; run 'sterna fold' again")
    if not bounds[0] <= each <= bounds[1]:
        raise Wrong(
            f"an image takes {each:.6g} clocks, by design.json {law} ({bounds[0]:.6g} to "
            f"{bounds[1]:.6g} are allowed); the bitstream is of another folding, or the model is "
            "wrong: please report it"
        )
    return f"{count} images counted, none dropped; {each:.6g} clocks each, the law {law}"


_ALONE = (
    "images_per_second_without_the_link",
    "clock_mhz",
    "clock_mhz_of_the_bitstream",
    "line_images_per_second",
)
"""Figures of a clock, which a simulation has not."""


def _speed(found: Mapping[str, Any], known: Known) -> str:
    last, over = known.sets[-1], found["images_per_second_over_the_link"]
    count, seconds = last["images"], last["seconds"]
    if not _same(over, link_rate(count, seconds)):
        raise Wrong(f"{count} images took {seconds} s, which is not {over} a second")
    if [key in found for key in _ALONE] != [not known.simulated] * len(_ALONE):
        raise Wrong("a clock is measured of boards that are not simulated, and of no others")
    if known.simulated:
        return f"{over:.6g} images a second of a simulation over the link; not judged"
    clock, line = found["clock_mhz"], found["line_images_per_second"]
    alone, wanted = found["images_per_second_without_the_link"], found["clock_mhz_of_the_bitstream"]
    if wanted is not None and abs(clock - wanted) > CLOCK_ERROR * wanted:
        raise Wrong(
            f"the board's clock is {clock:.4g} MHz, that of its bitstream {wanted:.4g}; "
            "was it programmed with the build's bitstream?"
        )
    if known.paced and clock > FASTEST_CLOCK:
        raise Wrong(f"no chip has a clock of {clock:.4g} MHz; please report it")
    each = known.figures["counters"]["clocks_per_image"]
    if not clock or abs(alone * each - clock * 1e6) > CLOCK_ERROR * clock * 1e6:
        raise Wrong(
            f"{alone:.6g} images a second of {each:.6g} clocks are no clock of {clock:.4g} MHz; "
            "please report it"
        )
    if not _same(line, line_rate(known.baud, known.identity["image_bytes"])):
        raise Wrong(f"{known.baud} baud do not carry {line} images a second")
    if over > alone * (1 + CLOCK_ERROR) * count / max(1, count - 1):
        raise Wrong(
            f"{over:.4g} images a second came over the link, where the design computes "
            f"{alone:.4g}; please report it"
        )
    # As many as fit, and a round trip for every few that may be under way.
    trips = 2 + count / known.identity["slots"]
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


def _robustness(found: Mapping[str, Any], known: Known) -> str:
    size, cut, dropped = found["image_bytes"], found["sent_bytes"], found["dropped"]
    if dropped not in (0, 1):
        raise Wrong(
            f"one image was cut short, the board counts {dropped}; please report this mistake of "
            "its design"
        )
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
