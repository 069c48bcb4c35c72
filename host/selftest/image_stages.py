"""The stages about what a board computes and how fast; as those of board_stages.py."""

from typing import Any

from sterna.golden.result import Result, compare
from sterna.host.selftest.judge import need_counted
from sterna.host.selftest.known import (
    FEW,
    MANY,
    Wrong,
    cut_of,
    line_rate,
    link_rate,
    rounded,
)
from sterna.host.selftest.pictures import EXPECTED_BY, Pictures, results_digest
from sterna.host.selftest.trial import Trial

__all__ = ["counters", "images", "robustness", "speed"]

BUDGET = 2.0
"""Seconds of the repetitions by which the clocks of an image are measured."""
CLOCK_SECONDS = 1.0
"""Of the repetitions by which the clock is measured."""


def images(trial: Trial) -> None:
    rows: list[dict[str, Any]] = []
    trial.figures |= {"expected_by": EXPECTED_BY, "sets": rows}
    for pictures in trial.pictures:
        row = pictures.as_dict()
        rows.append(row)
        row["golden_sha256"] = results_digest(pictures.expected)
        start = trial.now()
        result = trial.board.infer(pictures.images)
        seconds = trial.now() - start
        row["results_sha256"] = results_digest(result)
        row |= {"logits": result.logits.size, "seconds": rounded(seconds)}
        if (right := pictures.right(result)) is not None:
            row["right"] = right
        # What later stages must find again, whether it is right or not.
        trial.shared.setdefault("before", result)
        _compared(trial, pictures, result)


def _compared(trial: Trial, pictures: Pictures, result: Result) -> None:
    """`Wrong` where a logit differs; of reloadable memories their CRCs tell which is at fault."""
    difference = compare(pictures.expected, result, (), ("golden", "board"))
    if difference is None:
        return
    assert trial.build is not None
    wrong = int((pictures.expected.logits != result.logits).any(axis=1).sum())
    text = f"{wrong} of {len(pictures)} images ({pictures.name}) differ: {difference}"
    if not trial.link.read("config")[0] >> 16:
        raise Wrong(
            f"{text}; weights in a bitstream cannot be read back: 'sterna verify-bitstream' "
            "compares its file, then program it again, and lower the clock if it stays so"
        )
    named = trial.different()
    trial.figures["changed_memories"] = named
    cause = (
        f"{', '.join(named)} no longer has the CRC of its file: check the power, load again"
        if named
        else "all memories have the CRCs of their files, so the logic is at fault: lower the clock"
    )
    raise Wrong(f"{text}; {cause}")


def counters(trial: Trial) -> None:
    assert trial.build is not None
    board, pictures = trial.board, trial.pictures[0]
    board.counters(clear=True)
    results = trial.again("images that are counted are", pictures)
    found = board.counters()
    trial.figures |= {
        "images": found.images,
        "image_clocks": found.image_clocks,
        "dropped_early": found.dropped_early,
        "dropped_late": found.dropped_late,
        "stalls": found.stalls,
        "results_sha256": results_digest(results),
    }
    need_counted(trial.figures, trial.known)  # before it repeats any
    trial.figures |= trial.build.figures("counters")
    trial.figures["clocks_per_image"] = rounded(_interval(trial))


def _interval(trial: Trial) -> float:
    """Clocks an image of repetitions without the link: what more of them take, over how many."""
    start = trial.now()
    trial.board.repeat(1)
    took = max(trial.now() - start, 1e-4)
    more = max(FEW, min(MANY, int(BUDGET / took)))
    first = trial.board.repeat(more // 2)
    whole = trial.board.repeat(more // 2 + more)
    trial.figures["repetitions"] = more
    trial.shared["interval"] = each = (whole - first) % (1 << 32) / more
    return each


def speed(trial: Trial) -> None:
    last = trial.known.sets[-1]
    over = link_rate(last["images"], last["seconds"])
    trial.figures["images_per_second_over_the_link"] = over
    if trial.simulated:
        return
    assert trial.build is not None
    clock, alone = _clock(trial)
    trial.figures |= {
        "images_per_second_without_the_link": rounded(alone),
        "clock_mhz": rounded(clock / 1e6),
        "clock_mhz_of_the_bitstream": trial.build.clock_mhz,
        "line_images_per_second": line_rate(trial.known.baud, trial.board.identity.image_bytes),
    }


def _clock(trial: Trial) -> tuple[float, float]:
    """(clocks, images) a second of repetitions: of many less those of a quarter of them, so that
    what it takes to start and to look does not count."""
    each = trial.shared["interval"]

    def timed(count: int) -> tuple[int, float]:
        start = trial.now()
        return trial.board.repeat(count), trial.now() - start

    count = FEW
    while True:
        clocks, seconds = timed(count)
        if seconds >= CLOCK_SECONDS / 8 or count * each > 1 << 28:
            break
        count *= 4
    more = int(min(count * CLOCK_SECONDS / max(seconds, 1e-3), (1 << 31) / each))
    more = max(more, 4 * FEW)
    few_clocks, few_seconds = timed(more // 4)
    clocks, seconds = timed(more)
    spent = max(seconds - few_seconds, 1e-9)
    return (clocks - few_clocks) % (1 << 32) / spent, (more - more // 4) / spent


def robustness(trial: Trial) -> None:
    board, link = trial.board, trial.link
    size = board.identity.image_bytes
    early = board.counters().dropped_early
    cut = cut_of(size)
    link.wait(link.engine.beginning(bytes(cut)))
    link.open()
    result = trial.again("the image after one that was cut short is", trial.pictures[0], 1)
    dropped = board.counters().dropped_early - early
    trial.figures |= {
        "image_bytes": size,
        "sent_bytes": cut,
        "dropped": dropped,
        "results_sha256": results_digest(result),
    }
