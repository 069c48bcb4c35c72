"""The stages about a board itself: what it is, its cable, its memories. Each takes a `Trial` and
leaves figures in it, of which ``judge`` says what they mean; `Wrong` and `Skip` end it before."""

import statistics

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.errors import SternaError
from sterna.golden.result import compare
from sterna.host.inputs import from_build
from sterna.host.selftest import judge
from sterna.host.selftest.judge import Wrong, need_found, rounded
from sterna.host.selftest.pictures import results_digest
from sterna.host.selftest.trial import Skip, Trial

__all__ = ["cable", "identify", "load", "reload"]

PING_WORDS = 8
"""Registers of a read that is timed."""


def identify(trial: Trial) -> None:
    trial.opened = board = trial.open_board()
    info, build = board.identify(), trial.build
    trial.figures |= info.as_dict()
    trial.figures["version"] = board.read("version")[0]
    if build is None:
        return
    board.use(build.folder)  # refuses another design, by both ids
    trial.design = build.as_dict(info.structure_id)
    for key, value in build.figures("identify").items():
        if trial.figures[key] != value:
            raise Wrong(
                f"the board says {key} {trial.figures[key]}, its build {value}; program the "
                "build's bitstream again",
                ends=True,
            )


def cable(trial: Trial) -> None:
    board = trial.board
    before, first = trial.stats(), board.read("id", PING_WORDS)
    seconds, wrong = [], 0
    for _ in range(judge.PINGS):
        start = trial.now()
        found = board.read("id", PING_WORDS)
        wrong += found[0] != csr.ID or found[:4] != first[:4]
        seconds.append(trial.now() - start)
    after = trial.stats()
    trial.figures |= {
        "reads": judge.PINGS,
        "wrong": wrong,
        "round_trip_seconds": {
            "median": rounded(statistics.median(seconds)),
            "least": rounded(min(seconds)),
            "most": rounded(max(seconds)),
        },
        "link": {key: after[key] - before[key] for key in after},
    }


def load(trial: Trial) -> None:
    if trial.build is None:
        raise Skip("no build was given, so no weights")
    count = trial.link.read("config")[0] >> 16
    if not count:
        trial.board.load()  # compares rom_crc
        raise Skip("fixed weights: nothing to load; the bitstream's rom_crc is that of the file")
    trial.figures |= trial.build.figures("load")
    start = trial.now()
    _loaded(trial)
    trial.figures["load_seconds"] = rounded(trial.now() - start)


def _loaded(trial: Trial) -> None:
    """Load the build's weights; where a memory does not keep them, say which."""
    try:
        trial.board.load()
    except LinkError as error:
        try:
            named = trial.different() if trial.link.alive else []
        except SternaError:
            raise error from None
        if not named:
            raise
        # Those behind it were not written any more.
        raise Wrong(f"{named[0]}: {error}", ends=True) from None


def reload(trial: Trial) -> None:
    count = trial.link.read("config")[0] >> 16
    if trial.build is None:
        raise Skip("no build was given, so no weights")
    if not count:
        raise Skip("fixed weights: they are part of the bitstream")
    if "before" not in trial.shared:
        raise Skip("the stage images did not come to an end")
    if named := trial.different():
        raise Wrong(f"{', '.join(named)} changed while images were computed; check the power")
    damaged = max(trial.build.weights.reloadable(count))
    trial.figures |= trial.build.figures("reload")
    _damage(trial, damaged)
    trial.figures["found"] = trial.different()
    need_found(trial.figures)
    if trial.board.identify().weights_id is not None:
        raise Wrong(
            "the board still vouches for weights (weights_id) after one of them was overwritten; "
            "report this mistake of the design",
            ends=True,
        )
    _loaded(trial)
    _behind_images(trial)


def _damage(trial: Trial, region: int) -> None:
    """Turn the lowest bit of a region's last word."""
    assert trial.build is not None
    words = trial.build.weights.regions[region]
    with trial.drained():
        trial.link.write("chain_address", region << 24 | len(words) - 1)
        trial.link.write("chain_data", int(words[-1]) ^ 1)


def _behind_images(trial: Trial) -> None:
    """The same weights again while images are computed: these and the next are as before."""
    assert trial.build is not None
    pictures, board = trial.pictures[0], trial.board
    images = from_build(trial.build.folder)
    data = images.pack(pictures.images, board.identity.image_bytes)
    request = trial.link.engine.images(data)
    board.load()
    words = trial.link.wait(request)
    after = board.infer(pictures.images)
    assert isinstance(words, list)
    same = [tuple(w % (1 << 32) for w in row) for row in after.logits.tolist()]
    trial.figures |= {"images": len(pictures), "results_sha256": results_digest(after)}
    difference = compare(trial.shared["before"], after, (), ("before", "after"))
    if difference is not None or [w[1:] for w in words] != same:
        where = difference or "the images in front of them"
        raise Wrong(f"weights loaded behind images change what is computed: {where}")
