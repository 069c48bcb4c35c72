"""The stages about a board itself: what it is, its cable, its memories. Each takes a `Trial`,
leaves figures in it, and returns what was found, in words; `Wrong` and `Skip` end it otherwise."""

import statistics

from sterna.golden.device import csr
from sterna.golden.device.link import LinkError
from sterna.golden.errors import SternaError
from sterna.golden.result import compare
from sterna.host.inputs import from_build
from sterna.host.selftest.pictures import results_digest
from sterna.host.selftest.trial import Skip, Trial, Wrong, rounded

__all__ = ["cable", "identify", "load", "reload"]

PINGS, PING_WORDS = 200, 8
"""Reads that are timed, and registers of each."""
SLOW = 0.1
"""Seconds: no adapter takes so long for a read, of which some milliseconds are the line's."""
LOSSES = 0.01
"""Share of frames that go again, or arrive damaged, from which on a cable is called bad."""


def identify(trial: Trial) -> str:
    trial.opened = board = trial.open_board()
    info, build = board.identify(), trial.build
    trial.figures |= info.as_dict()
    trial.figures["version"] = board.read("version")[0]
    if build is None:
        return f"structure {info.structure_id}, weights {info.weights_id or 'none yet'}"
    board.use(build.folder)  # refuses another design, by both ids
    network = build.network
    wanted = {
        "classes": network.shape[network.readout.name][0],
        "regions": build.region_count,
    }
    for key, value in wanted.items():
        if trial.figures[key] != value:
            raise Wrong(
                f"the board says {key} {trial.figures[key]}, its build {value}; program the "
                "build's bitstream again",
                ends=True,
            )
    if not info.regions and info.weights_id != build.weights_id[:16]:
        raise Wrong(
            f"the board's bitstream has the weights {info.weights_id}, the build {build.weights_id}"
            "; program the build's bitstream, or put the weights into it with 'sterna patch'",
            ends=True,
        )
    return f"structure {info.structure_id}, weights {info.weights_id or 'none yet'}"


def cable(trial: Trial) -> str:
    board = trial.board
    before, first = trial.stats(), board.read("id", PING_WORDS)
    seconds, wrong = [], 0
    for _ in range(PINGS):
        start = trial.now()
        wrong += board.read("id", PING_WORDS)[:4] != first[:4]
        seconds.append(trial.now() - start)
    after = trial.stats()
    spent = {key: after[key] - before[key] for key in after}
    middle = trial.shared["round_trip"] = statistics.median(seconds)
    trial.figures |= {
        "reads": PINGS,
        "wrong": wrong,
        "round_trip_seconds": {
            "median": rounded(middle),
            "least": rounded(min(seconds)),
            "most": rounded(max(seconds)),
        },
        "link": spent,
    }
    if wrong or first[0] != csr.ID:
        raise Wrong(f"{wrong} of {PINGS} reads came back wrong; check the cable", ends=True)
    frames = max(1, spent["frames_sent"] + spent["frames_received"])
    lost = spent["damaged"] + spent["frames_resent"] + spent["timeouts"]
    if lost > max(1, LOSSES * frames):
        raise Wrong(
            f"a bad cable or baud rate: of {frames} frames {spent['damaged']} arrived damaged, "
            f"{spent['frames_resent']} went again and {spent['timeouts']} were waited for in vain; "
            "try a shorter cable or another adapter, or build for a lower --baud"
        )
    if middle > SLOW and not trial.simulated:
        raise Wrong(
            f"a slow line: a read takes {middle:.3g} s, where an adapter takes a few milliseconds; "
            "connect the board to this computer itself, not through a network"
        )
    judged = "" if not trial.simulated else " (a simulation's, not judged)"
    lost_words = f"{lost} of {frames} frames again or damaged" if lost else "no frame lost"
    return f"{PINGS} reads right, {1000 * middle:.2f} ms each{judged}, {lost_words}"


def load(trial: Trial) -> str:
    if trial.build is None:
        raise Skip("no build was given, so no weights")
    count = trial.link.read("config")[0] >> 16
    image = trial.build.weights
    trial.figures |= {"regions": count, "weights_id": trial.build.weights_id}
    if not count:
        trial.board.load()  # compares rom_crc
        raise Skip("fixed weights: nothing to load; the bitstream's rom_crc is that of the file")
    words = sum(len(w) for w in image.reloadable(count).values())
    start = trial.now()
    _loaded(trial)
    seconds = trial.now() - start
    trial.figures |= {"words": words, "load_seconds": rounded(seconds)}
    return f"{count} memories, {words} words, each with the CRC-32 of its file"


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


def reload(trial: Trial) -> str:
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
    trial.figures |= {"regions": count, "damaged": trial.build.memory(damaged)}
    _damage(trial, damaged)
    named, wanted = trial.different(), [trial.build.memory(damaged)]
    trial.figures["found"] = named
    if named != wanted:
        raise Wrong(
            f"a bit was turned in {wanted[0]}, and the board's CRC passes find "
            f"{', '.join(named) or 'nothing'}; report this mistake of the design",
            ends=True,
        )
    if trial.board.identify().weights_id is not None:
        raise Wrong(
            "the board still vouches for weights (weights_id) after one of them was overwritten; "
            "report this mistake of the design",
            ends=True,
        )
    _loaded(trial)
    _behind_images(trial)
    return f"a bit turned in {wanted[0]} is found, and images are as before after loading again"


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
