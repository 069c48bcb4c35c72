"""The stages about what a board computes and how fast; as those of board_stages.py."""

from sterna.golden.result import Result, compare
from sterna.host.selftest.pictures import EXPECTED_BY, Pictures, few, results_digest
from sterna.host.selftest.trial import Skip, Trial, Wrong, rounded

__all__ = ["counters", "images", "robustness", "speed"]

FEW, MANY, BUDGET = 16, 128, 2.0
"""Repetitions at least and at most, and seconds of them: of the clocks of an image."""
CLOCK_SECONDS = 1.0
"""Of the repetitions by which the clock is measured."""
CLOCK_ERROR = 0.05
"""Share by which the measured clock may be off: a look at the board takes milliseconds."""
LEAST_SHARE = 0.25
"""Of the images a second that the line could carry, or the design compute: a slow line is below."""
SETTLE = 0.2
"""Seconds that may go by with something else."""
LINE_BITS, PAYLOAD = 10, 0.95
"""Of a byte on the line; share of its bytes that are images'."""


def images(trial: Trial) -> str:
    build = trial.build
    if build is None:
        raise Skip("no build was given, so nothing says what is right")
    rows, said = [], []
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
        trial.shared["infer"] = len(pictures), seconds
        # What later stages must find again, whether it is right or not.
        trial.shared.setdefault("before", result)
        _compared(trial, pictures, result)
        labels = "" if right is None else f", {right} of them right"
        said.append(f"{len(pictures)} {pictures.name}{labels}")
    logits = sum(row["logits"] for row in rows)
    return f"all {logits} logits equal golden: {'; '.join(said)}"


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


def counters(trial: Trial) -> str:
    if trial.build is None:
        raise Skip("no build was given, so no law")
    board, pictures = trial.board, trial.pictures[0]
    board.counters(clear=True)
    board.infer(pictures.images)
    found = board.counters()
    trial.figures |= {
        "images": found.images,
        "image_clocks": found.image_clocks,
        "dropped_early": found.dropped_early,
        "dropped_late": found.dropped_late,
        "stalls": found.stalls,
    }
    if found.images != len(pictures):
        raise Wrong(f"{len(pictures)} images were computed, the board counts {found.images}")
    if found.dropped_early or found.dropped_late:
        raise Wrong(
            f"{found.dropped_early + found.dropped_late} images had a wrong length on their way "
            "into the network; report this mistake of the design"
        )
    each = _interval(trial)
    bounds = trial.build.clocks
    trial.figures |= {"clocks_per_image": rounded(each)}
    if bounds is None:
        return f"{len(pictures)} images counted, {each:.6g} clocks each; design.json has no law"
    law = trial.build.design.get("interval")
    trial.figures |= {"law": law, "modelled": trial.build.design.get("modelled_interval")}
    if not bounds[0] <= each <= bounds[1]:
        raise Wrong(
            f"an image takes {each:.6g} clocks, by design.json {law} ({bounds[0]:.6g} to "
            f"{bounds[1]:.6g} are allowed); the bitstream is of another folding, or the model is "
            "wrong: please report it"
        )
    return f"{len(pictures)} images counted, none dropped; {each:.6g} clocks each, the law {law}"


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


def speed(trial: Trial) -> str:
    if "infer" not in trial.shared or "interval" not in trial.shared:
        raise Skip("the stages images and counters did not come to an end")
    count, seconds = trial.shared["infer"]
    over = count / max(seconds, 1e-9)
    trial.figures["images_per_second_over_the_link"] = rounded(over)
    if trial.simulated:
        return f"{over:.6g} images a second of a simulation over the link; not judged"
    assert trial.build is not None
    clock, alone = _clock(trial)
    trial.figures |= {
        "images_per_second_without_the_link": rounded(alone),
        "clock_mhz": rounded(clock / 1e6),
        "clock_mhz_of_the_bitstream": trial.build.clock_mhz,
    }
    wanted = trial.build.clock_mhz
    if wanted is not None and abs(clock / 1e6 - wanted) > CLOCK_ERROR * wanted:
        raise Wrong(
            f"the board's clock is {clock / 1e6:.4g} MHz, that of its bitstream {wanted:.4g}; "
            "was it programmed with the build's bitstream?"
        )
    line = trial.figures["line_images_per_second"] = rounded(_line_rate(trial))
    # As many as fit, and a round trip for every few that may be under way.
    trips = 2 + count / trial.board.identity.slots
    wanted_seconds = count / min(line, alone) + trips * trial.shared["round_trip"]
    if seconds > wanted_seconds / LEAST_SHARE + SETTLE:
        raise Wrong(
            f"a slow line: {over:.4g} images a second, where {line:.4g} fit through it and the "
            f"design computes {alone:.4g}; connect the board to this computer itself"
        )
    return (
        f"{over:.6g} images a second over the link, {alone:.6g} without it, by a clock of "
        f"{clock / 1e6:.5g} MHz"
    )


def _line_rate(trial: Trial) -> float:
    """Images a second that the line can carry at its baud rate."""
    baud = getattr(trial.link.transport, "baud", 1_000_000)
    return PAYLOAD * baud / LINE_BITS / trial.board.identity.image_bytes


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


def robustness(trial: Trial) -> str:
    board, link = trial.board, trial.link
    size = board.identity.image_bytes
    if size < 2:
        raise Skip("an image of one byte cannot be cut short")
    early = board.counters().dropped_early
    cut = max(1, size // 2)
    if trial.build is None:
        raise Skip("no build was given, so nothing says what is right")
    link.wait(link.engine.beginning(bytes(cut)))
    link.open()
    pictures = trial.pictures[0]
    one = few(pictures.images, slice(1))
    result = board.infer(one)
    dropped = board.counters().dropped_early - early
    trial.figures |= {"image_bytes": size, "sent_bytes": cut, "dropped": dropped}
    before = trial.shared.get("before", pictures.expected)
    if (result.logits != before.logits[:1]).any():
        raise Wrong(
            "the image after one that was cut short is computed otherwise than before; report this "
            "mistake of the design"
        )
    if dropped not in (0, 1):
        raise Wrong(
            f"one image was cut short, the board counts {dropped}; please report this mistake of "
            "its design"
        )
    return f"{cut} of {size} bytes of an image are dropped, the next image is as before"
