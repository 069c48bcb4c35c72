"""The stages about a board itself: what it is, its cable, its memories. Each takes a `Trial` and
leaves figures in it, of which ``judge`` says what they mean; `Wrong` ends it before."""

import statistics

import numpy as np

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.errors import SternaError
from sterna.host.inputs import from_build
from sterna.host.registers import result_of
from sterna.host.selftest import known as limits
from sterna.host.selftest.judge import PING_WORDS, need_found
from sterna.host.selftest.known import Wrong, rounded
from sterna.host.selftest.pictures import results_digest
from sterna.host.selftest.trial import Trial

__all__ = ["cable", "identify", "load", "reload"]


def identify(trial: Trial) -> None:
    trial.opened = board = trial.open_board()
    info, build = board.identify(), trial.build
    trial.figures |= info.as_dict()
    trial.figures["version"] = board.read("version")[0]
    if build is None:
        return
    board.use(build.folder)  # refuses another design, or fixed weights, by both ids
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
    for _ in range(limits.PINGS):
        start = trial.now()
        found = board.read("id", PING_WORDS)
        wrong += found[0] != csr.ID or found[:4] != first[:4]
        seconds.append(trial.now() - start)
    after = trial.stats()
    trial.figures |= {
        "reads": limits.PINGS,
        "wrong": wrong,
        "round_trip_seconds": {
            "median": rounded(statistics.median(seconds)),
            "least": rounded(min(seconds)),
            "most": rounded(max(seconds)),
        },
        "link": {key: after[key] - before[key] for key in after},
    }


def load(trial: Trial) -> None:
    assert trial.build is not None
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
    assert trial.build is not None
    if named := trial.different():
        raise Wrong(f"{', '.join(named)} changed while images were computed; check the power")
    damaged = max(trial.build.weights.reloadable(trial.build.region_count))
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
    first = result_of(np.array(words, np.uint32))
    trial.need_as_before("images in front of the same weights are", first, pictures)
    after = trial.again("images behind the same weights, loaded again, are", pictures)
    trial.figures |= {"images": len(pictures), "results_sha256": results_digest(after)}
