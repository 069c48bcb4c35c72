"""Why a link failed: the sentences, each with what to do next."""

__all__ = [
    "NOT_NEW",
    "NO_IDENTITY",
    "UNASKED",
    "endless",
    "other_version",
    "refused",
    "silent",
    "stalled",
]

from sterna.golden.device.link import VERSION
from sterna.host.reader import LONGEST, LinkStats
from sterna.host.window import Window

NO_IDENTITY = "the board's identity makes no sense; program it with a bitstream of this Sterna"
UNASKED = "the board gave a result that nobody asked for; please report this mistake of its design"

NOT_NEW = (
    "the board says of every new session that it is under way already; reset the board, or program "
    "it with a bitstream of this Sterna"
)


def endless(busy: str, seconds: float) -> str:
    """Frames come and things go on, but far too slowly to be a board."""
    return (
        f"the board answers but {busy} is not done after {seconds:.3g} s; give more time with a "
        "longer timeout, or reset the board"
    )


def other_version(version: int) -> str:
    """A board answered that speaks another version."""
    return (
        f"the board speaks version {version} of the link, this Sterna speaks {VERSION}; "
        "make its bitstream with the Sterna of this host"
    )


def refused(what: str) -> str:
    """A register access was answered by SLVERR."""
    return (
        f"the board refused {what} (SLVERR): the design has no such register, or it is read only, "
        "or an image was in flight; try again when status.idle is set"
    )


def silent(stats: LinkStats, opening: bool, busy: str, seconds: float, noise: int) -> str:
    """No frame of the session came for so long, but ``noise`` bytes that are none."""
    if not opening and noise > LONGEST:
        return (
            f"{noise} bytes came in {seconds:.3g} s but no frame of the board while {busy}; is "
            "another program on its line, or another design in it? check cable and power, then "
            "connect again"
        )
    if not opening:
        return (
            f"the board fell silent for {seconds:.3g} s while {busy}; "
            "check cable and power, then connect again"
        )
    if stats.foreign:
        return (
            f"the board answered only other sessions for {seconds:.3g} s; is another program using "
            "it? close that and try again"
        )
    if stats.bytes_received:
        return (
            f"{stats.bytes_received} bytes came in {seconds:.3g} s but no frame of a board; "
            "is the baud rate that of its bitstream?"
        )
    return (
        f"no answer from a board within {seconds:.3g} s; is it powered and programmed with "
        "'sterna program', and is this its port?"
    )


def stalled(window: Window, images_out: int, busy: str, seconds: float) -> str:
    """Frames come, but nothing that was asked goes on."""
    where = f", {images_out} images wait for results" if images_out else ""
    held = sum(frame.cost for frame in window.frames)
    if held and not window.missing:
        where += f", its buffer holds {held} of {window.buffer} bytes not executed"
    return (
        f"the board answers but {busy} has not gone on for {seconds:.3g} s{where}; "
        "is control.hold set? connect again with a reset of the network"
    )
