"""The command ``sterna power``; as those of networks.py."""

import argparse
from collections.abc import Callable
from typing import Any

import sterna.images as images
from sterna.commands.arguments import milliwatts, milliwatts_or_none, rate
from sterna.gen.device.family import TARGETS
from sterna.gen.power.reading import NO_RATE, check_reading
from sterna.gen.power.simulated import OF
from sterna.golden.errors import UsageError

__all__ = ["add_parsers", "power"]

Answer = tuple[dict[str, Any], str, int]
DEFAULT_IMAGES = 8
FEW_IMAGES, FEW_CLOCKS = 3, 400_000
"""Of a slow design: images at least, clocks beside that."""


def add_parsers(
    _command: Callable[[str, str], argparse.ArgumentParser],
    staged: Callable[[str, str], argparse.ArgumentParser],
) -> None:
    """Add the parser of this command; ``staged`` makes one of a command that runs stages."""
    sub = staged("power", "count toggles on real images: SAIF, activity, bounds of the energy")
    images.add_options(sub, predictions=False)
    sub.add_argument(
        "--of", choices=tuple(OF), help="what is simulated (default rtl; netlist: minutes)"
    )
    sub.add_argument("--board", help="the device whose power is asked for: icebreaker ...")
    sub.add_argument(
        "--target",
        choices=tuple(TARGETS),
        help="family of the netlist and of the size (default: the board's, else the design's)",
    )
    group = sub.add_argument_group("a meter's reading, instead of a simulation")
    group.add_argument(
        "--measured-mw", type=milliwatts, metavar="MW", help="power while the board is busy"
    )
    group.add_argument(
        "--idle-mw",
        type=milliwatts_or_none,
        metavar="MW",
        help="of the same rails, nothing to compute",
    )
    group.add_argument(
        "--images-per-second",
        type=rate,
        metavar="N",
        help="meanwhile, as sterna infer --repeat prints it (default: of the placed --board)",
    )


def power(options: argparse.Namespace) -> Answer:
    """Toggles, activity and energy of a build; or a meter's reading of it."""
    from sterna.gen.device.boards import chip_of

    _check(options)
    where = chip_of(options.board) if options.board else None
    if where is not None and options.target not in (None, where.family):
        raise UsageError(
            f"--target {options.target}: board {where.name} is {where.family}; leave one of them "
            "out"
        )
    if options.measured_mw is not None:
        return _read(options, where)
    return _simulated(options, where)


def _check(options: argparse.Namespace) -> None:
    """What cannot go together is refused before anything is done."""
    if options.measured_mw is None:
        for name in ("idle_mw", "images_per_second"):
            if getattr(options, name) is not None:
                raise UsageError(f"--{name.replace('_', '-')} goes with --measured-mw")
        return
    for name in ("of", "images", "file", "data", "split", "size", "target"):
        if getattr(options, name) is not None:
            raise UsageError(f"--{name} goes with a simulation, not with --measured-mw")
    check_reading(options.measured_mw, options.idle_mw)
    if options.images_per_second is None and options.board is None:
        raise UsageError(NO_RATE)


def _simulated(options: argparse.Namespace, where: Any) -> Answer:
    from sterna.boards.bitstream import opened_for
    from sterna.commands.networks import options_of
    from sterna.gen.build.stages import ensure, open_build
    from sterna.gen.device.family import family_of
    from sterna.gen.tools.programs import find
    from sterna.gen.tools.progress import Progress
    from sterna.power import power as counted
    from sterna.power import power_text

    of = options.of or "rtl"
    for name in OF[of]:
        find(name)
    progress = Progress(2)
    if where is None:
        build = open_build(options.folder, options.output, progress=progress)
        asked = options_of(options)
    else:
        build, asked = opened_for(options, where.name, where.family, progress)
        if asked.family is None:  # the design that is there stays
            where.check_takes(build.design.family)
    found = images.choose(options, build.network, build.folder, build.data, DEFAULT_IMAGES)
    built = ensure(build, "verilog", asked, progress=progress)
    if where is not None:
        where.check_takes(built.design.family)
    target = options.target or family_of((where or built.design).family).target
    pixels = found.images
    if options.images is None:
        few = max(FEW_IMAGES, FEW_CLOCKS // built.design.interval)
        pixels = pixels[:, :few] if pixels.ndim == 5 else pixels[:few]
    answer = counted(built, pixels, of, target, where, progress)
    wrote = [answer["run"]["saif"], "measured/power.json"]
    if answer["vivado"] is not None:
        wrote.insert(1, answer["vivado"]["script"])
    answer = {"build": str(built.folder), **answer}
    answer["wrote"] = [str(built.folder / name) for name in wrote]
    return answer, power_text(answer), 0


def _read(options: argparse.Namespace, where: Any) -> Answer:
    from sterna.gen.build.stages import ensure
    from sterna.power import power_text, read_meter

    given = options.measured_mw, options.idle_mw, options.images_per_second
    built = ensure(options.folder, "verilog", None, options.output)
    answer = read_meter(built, *given, where)
    text = power_text({"measured": answer["measured"]})
    answer = {"build": str(built.folder), **answer}
    answer["wrote"] = [str(built.folder / "measured" / "power.json")]
    return answer, text, 0
