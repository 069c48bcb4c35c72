"""One function for each command: fetch the inputs, call the function that does the work.

Each returns (object for --json, text for people, exit code).
"""

import argparse
from typing import TYPE_CHECKING, Any

import sterna.images as images
from sterna.golden.errors import UsageError

if TYPE_CHECKING:
    from sterna.gen.build.stages import Build, Options

__all__ = [
    "fold",
    "pack",
    "verilog",
    "build",
    "sim",
    "eval",
    "compare",
    "synth",
    "lint",
    "demo",
    "doctor",
]

Answer = tuple[dict[str, Any], str, int]
DEFAULT_IMAGES = {"batch": 1000, "cocotb": 4, "netlist": 4}  # images unless --images says otherwise
# Programs that are looked for before the first stage.
PROGRAMS = {
    "batch": ("verilator", "g++"),
    "cocotb": ("verilator", "g++"),
    "netlist": ("yosys", "verilator", "g++"),
}


# --- stages -----------------------------------------------------------------------------------


def options_of(options: argparse.Namespace) -> "Options":
    from sterna.gen.build.folding_file import read_folding
    from sterna.gen.build.stages import Options

    settings = read_folding(options.folding) if options.folding else {}
    given = {"family": options.family, "clock_mhz": options.clock, "fps": options.fps}
    given |= {"memory": options.memory, "patchable": options.patchable}
    given["memories"] = getattr(options, "memories", None)
    if options.command in ("fold", "build"):
        given |= {"luts": options.luts, "board": options.board, "latency": options.latency}
    return Options(**settings | {k: v for k, v in given.items() if v is not None})


def _ensure(
    options: argparse.Namespace, upto: str, more_steps: int = 0, build: "Build | None" = None
) -> "Build":
    from sterna.gen.build.stages import ensure
    from sterna.gen.tools.progress import Progress

    options.progress = Progress(more_steps)
    source = options.folder if build is None else build
    return ensure(source, upto, options_of(options), options.output, options.progress)


def _stage(options: argparse.Namespace, upto: str) -> Answer:
    built = _ensure(options, upto)
    wrote = sorted(built.record()[upto]["writes"])
    main = {"pack": [built.folder / "weights.sterna"], "verilog": [built.verilog]}[upto]
    answer = {"build": str(built.folder), "stage": upto, "files": wrote, "wrote": _paths(*main)}
    return answer, "\n".join(str(built.folder / name) for name in wrote), 0


def fold(options: argparse.Namespace) -> Answer:
    """design.json, and the estimates it makes possible."""
    built = _ensure(options, "fold")
    answer, text, code = _report(built)
    wrote = [built.folder / name for name in ("design.json", "solution.json")]
    return answer | {"wrote": _paths(*wrote)}, text, code


def pack(options: argparse.Namespace) -> Answer:
    """Memory images and weights.sterna."""
    if options.onto is not None:
        return _pack_onto(options)
    return _stage(options, "pack")


def _pack_onto(options: argparse.Namespace) -> Answer:
    """weights.sterna of one network for the design of another."""
    from sterna.gen.build.stages import open_build
    from sterna.gen.verilog.memory_images import check_same_structure, weights_image
    from sterna.golden.device.weights_image import parse_weights_image
    from sterna.golden.files import network_files as files
    from sterna.golden.files.disk import write_atomic

    if options.output is None:
        raise UsageError("say with -o FILE where the weights image goes")
    network, built = files.load(options.folder), open_build(options.onto)
    check_same_structure(network, built.network)
    data = weights_image(network, built.design)
    write_atomic(options.output, data)
    image = parse_weights_image(data)
    answer = {
        "file": str(options.output),
        "bytes": len(data),
        "regions": len(image.regions),
        "structure_id": image.structure_id,
        "weights_id": image.weights_id,
        "wrote": _paths(options.output),
    }
    return answer, f"{options.output}: {len(data)} bytes for the design of {built.folder}", 0


def verilog(options: argparse.Namespace) -> Answer:
    """Verilog, bench, vectors and register map."""
    return _stage(options, "verilog")


def build(options: argparse.Namespace) -> Answer:
    """All stages."""
    built = _ensure(options, "verilog")
    answer, text, code = _report(built)
    return answer | {"wrote": _paths(built.folder)}, text, code


def _paths(*paths: Any) -> list[str]:
    """The files that a command is for; `running` tells of them."""
    return [str(path) for path in paths if path]


def _report(built: "Build") -> Answer:
    from sterna.gen.build.report import report
    from sterna.gen.build.tables import table

    answer = report(built)
    return {"build": str(built.folder), **answer}, table(answer), 0


# --- running ----------------------------------------------------------------------------------


def _with_images(
    options: argparse.Namespace, upto: str, few: int | None, more_steps: int
) -> tuple["Build", images.Chosen]:
    """The build up to a stage, and the images it is to run on in ``more_steps``. Images that do not
    exist or do not fit are refused before the first stage."""
    from sterna.gen.build.stages import open_build
    from sterna.gen.tools.progress import Progress

    build = open_build(options.folder, options.output, progress=Progress())
    found = images.choose(options, build.network, build.folder, build.data, few)
    return _ensure(options, upto, more_steps, build), found


def eval(options: argparse.Namespace) -> Answer:
    """Accuracy of the golden model, and what it does, counted."""
    from sterna.commands.evaluated import evaluated

    built, found = _with_images(options, "fold", None, 1)
    with options.progress.step(f"golden model, {len(found)} images"):
        answer, text = evaluated(options, built, found)
    kept = None if found.labels is None else built.folder / "measured" / "eval.json"
    return answer | {"wrote": _paths(kept, options.predictions)}, text, 0


def _verified(options: argparse.Namespace, engine: str) -> tuple["Build", dict[str, Any]]:
    from sterna.gen.build.measurements import keep_measurement
    from sterna.gen.tools.programs import find
    from sterna.golden.result import Result, joined
    from sterna.sim.verify import verify
    from sterna.sim.waves.wave import Wave

    for name in PROGRAMS[engine]:
        find(name)
    wave, few = getattr(options, "wave", None), DEFAULT_IMAGES[engine]
    if wave is not None:
        few = Wave(wave, engine).few  # refused before the first stage
    built, found = _with_images(options, "verilog", few, 2)
    results: list[Result] = []
    given = built, found.images, found.labels, engine, options.progress, results.append
    answer = verify(*given, wave=wave)
    predicted = joined(results)
    if options.predictions:
        images.write_predictions(options.predictions, found, predicted)
    if found.warning:
        answer["warning"] = found.warning
    if found.labels is None:
        answer["classes"] = predicted.classes.tolist()
        answer["shown"] = images.names_text(found, predicted.classes)
    # The host's speed is no property of the build, and a wave is to be looked at.
    fleeting = ("sim_clocks_per_second", "classes", "shown")
    kept = None
    if wave is None:
        lasting = {k: v for k, v in answer.items() if k not in fleeting}
        keep_measurement(built, f"sim_{engine}", lasting)
        kept = built.folder / "measured" / f"sim_{engine}.json"
    waves = answer.get("wave"), None if answer.get("save_file_kept") else answer.get("save_file")
    return built, answer | {"wrote": _paths(kept, options.predictions, *waves)}


def sim(options: argparse.Namespace) -> Answer:
    """The Verilog on test images, every spike compared with golden; fails on any mismatch."""
    from sterna.sim.verify import verify_text

    _, answer = _verified(options, options.engine)
    shown = answer.pop("shown", "")
    text = f"{shown}\n{verify_text(answer)}" if shown else verify_text(answer)
    text += f"\nwarning: {answer['warning']}" if "warning" in answer else ""
    return answer, text, 1 if answer["mismatches"] else 0


def compare(options: argparse.Namespace) -> Answer:
    """The first difference between golden and the Verilog; fails if there is one."""
    options.images = options.images or 16
    _, answer = _verified(options, "batch")
    keys = ("images", "spikes_compared", "mismatches", "first_difference", "wrote")
    short = {k: answer[k] for k in keys}
    text = answer["first_difference"] or (
        f"no difference: {answer['spikes_compared']} spikes of {answer['images']} images"
    )
    return short, text, 1 if answer["mismatches"] else 0


def synth(options: argparse.Namespace) -> Answer:
    """Resources by yosys, out of context."""
    from sterna.gen.build.stages import open_build
    from sterna.gen.build.synthesis import COUNTED, synthesise
    from sterna.gen.build.tables import rows_text
    from sterna.gen.tools.programs import find
    from sterna.gen.tools.progress import Progress

    find("yosys")  # before a folder is made
    progress = Progress(1)
    built = open_build(options.folder, options.output, progress=progress)
    answer = synthesise(built, options.target, options_of(options), progress)
    counted = (answer[k] for k in COUNTED)
    numbers = [["yosys", *(f"{v:.2f}" if isinstance(v, float) else v for v in counted)]]
    if (guess := answer["estimate"]) is not None:
        numbers.append(["estimate", *(guess.get(k, "") for k in COUNTED)])
    kept = built.folder / "measured" / f"synth_{answer['target']}.json"
    return answer | {"wrote": _paths(kept)}, rows_text(("", *COUNTED.values()), numbers), 0


def lint(options: argparse.Namespace) -> Answer:
    """Verilator's warnings; fails at the first one."""
    from sterna.gen.build.lint import WAIVERS, lint
    from sterna.gen.tools.programs import find

    find("verilator")
    built = _ensure(options, "verilog", 1)
    with options.progress.step("verilator -Wall"):
        lint(built)
    answer = {"build": str(built.folder), "warnings": 0}
    answer |= {"wrote": _paths(built.folder / "lint.log", built.folder / WAIVERS)}
    text = f"{built.verilog}: no warning but those that {WAIVERS} waives and explains"
    return answer, text, 0


def demo(options: argparse.Namespace) -> Answer:
    """The shipped digits network on all held-out images."""
    from sterna.gen.build.report import report as full
    from sterna.gen.build.tables import table
    from sterna.shipped import example_folder
    from sterna.sim.verify import verify_text

    folder = example_folder("digits")
    vars(options).update(
        folder=folder,
        family=None,
        clock=None,
        fps=None,
        folding=None,
        memory=None,
        data=None,
        patchable=None,
        images=None,
        file=None,
        size=None,
        split=None,
        predictions=None,
    )
    built, answer = _verified(options, "batch")
    text = f"{table(full(built) | {'measured': {}})}\n{verify_text(answer)}"
    answer |= {"wrote": _paths(built.folder)}
    return answer, text, 1 if answer["mismatches"] else 0


def doctor(options: argparse.Namespace) -> Answer:
    """Look at the machine; 3 where something needed is missing."""
    from sterna.gen.tools import doctor as doctors

    checks = doctors.first_stage()
    if not options.first:
        from sterna.commands.checks import further

        checks += [*doctors.second_stage(), *further()]
    answer = doctors.report(checks)
    return answer, doctors.table(checks), 0 if answer["ok"] else 3
