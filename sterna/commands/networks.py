"""One function for each command: fetch the inputs, call the function that does the work.

Each returns (object for --json, text for people, exit code).
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sterna.images as images
from sterna.golden.errors import FileError, UsageError

if TYPE_CHECKING:
    from sterna.gen.build.stages import Build, Options

__all__ = [
    "train",
    "quantize",
    "fold",
    "pack",
    "verilog",
    "build",
    "sim",
    "eval",
    "compare",
    "synth",
    "lint",
    "report",
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


# --- training and quantization ----------------------------------------------------------------


def train(options: argparse.Namespace) -> Answer:
    """Train a recipe into a run folder; goes on where an earlier call stopped."""
    from sterna.train.run.run import train

    recipe = _recipe(options)
    answer = train(
        recipe,
        options.output,
        max_minutes=options.max_minutes,
        seed=options.seed,
        progress=_say,
        data=_training_data(options, recipe),
        untrained=options.untrained,
        resume=options.resume,
    )
    if options.curves:
        from sterna.train.run.curves import write_curves

        write_curves(Path(options.curves), Path(options.output))
    if answer.pop("rank"):  # of several processes only the first has something to say
        return {}, "", 0
    if answer.get("untrained"):
        return answer, f"{answer['name']}: random weights, batch norms measured", 0
    state = "done" if answer["done"] else "not done yet, run the same command again to go on"
    text = f"{answer['name']}: epoch {answer['epoch']} of {answer['epochs']}, {state}"
    scores = {k: v for k, v in answer.items() if k.startswith(("validation", "test"))}
    text += "".join(f"\n{k.replace('_', ' ')}: {v:.2%}" for k, v in scores.items())
    return answer, text, 0


def _recipe(options: argparse.Namespace) -> Path:
    """The recipe that a user named, or the one that tunes an import."""
    if (options.recipe is None) == (options.source is None):
        raise UsageError("give a recipe, or --from with the folder of an import")
    if options.source is None and options.epochs is not None:
        raise UsageError("--epochs goes with --from; a recipe has its own stages")
    if options.source is None and options.force:
        raise UsageError("--force goes with --from, for an import whose check failed")
    if options.source is not None:
        from sterna.train.run.tuning import tuning_recipe

        given = (options.source, options.output, images.data_name(options, None), options.epochs)
        return tuning_recipe(*given, force=options.force)
    recipe = Path(options.recipe)
    return recipe / "recipe.toml" if recipe.is_dir() else recipe


def _training_data(options: argparse.Namespace, recipe: Path) -> str | None:
    """The data set instead of the recipe's, or None. Of --from it is in the recipe already."""
    if options.source is not None or (options.data is None and options.size is None):
        return None
    from sterna.golden.files.sources import moved
    from sterna.train.recipe.recipe import read_recipe

    if options.data is not None:
        return images.data_name(options, None)
    return images.data_name(options, moved(read_recipe(recipe).source, recipe.parent, "."))


def quantize(options: argparse.Namespace) -> Answer:
    """A float network to network.json and network.safetensors in a build folder."""
    from sterna.gen.build.folder import Build
    from sterna.gen.quantize.float_network import FloatNetwork
    from sterna.gen.quantize.quantize import quantize
    from sterna.gen.verilog.memory_images import structure_difference
    from sterna.golden.files import network_files as files
    from sterna.golden.files.classes import write_classes
    from sterna.golden.files.disk import read_bytes, write_atomic
    from sterna.golden.files.locks import held
    from sterna.golden.files.sources import bare_recipe, rebased
    from sterna.golden.network import NeuronNode
    from sterna.golden.words.names import legal_name
    from sterna.train.data import datasets
    from sterna.train.data.sets import Wanted
    from sterna.train.module.frames import pick
    from sterna.train.recipe.recipe_check import check_images

    source, out = Path(options.source), Path(options.output)
    network = FloatNetwork.load(source)
    run = source if source.is_dir() else source.parent
    recipe = read_bytes(run / "recipe.toml", 1 << 20) if (run / "recipe.toml").is_file() else None
    facts, head = _run_facts(run, recipe, options.force)
    data_name = images.data_name(options, facts["data"] if facts else None)
    if not data_name:
        raise UsageError(f"{source}: no recipe.toml says which images to calibrate on; give --data")
    like = files.load(options.like) if options.like else None
    parts = datasets.load(data_name, None, Wanted.by(network))
    way = f"choose another than {data_name} with --data"
    check_images(str(source), network, parts, way)
    rules = [n for n in like.nodes if isinstance(n, NeuronNode)] if like else []
    # Of another structure than --like it is refused below, by what differs.
    bits = {n.name: n.rule.fraction_bits for n in rules if n.name in network.by_name}
    first = pick(parts.test[0], slice(1000))
    result, found = quantize(
        network,
        pick(parts.train[0], slice(options.images)),
        name=facts["name"] if facts else legal_name(out.resolve().name),
        fraction_bits=bits or head.get("fraction_bits"),
        evaluate=None if head.get("untrained") else (first, parts.test[1][:1000]),
        leak_tolerance=options.leak_tolerance,
    )
    if like is not None and (other := structure_difference(result, like, options.like)) is not None:
        raise UsageError(f"--like {options.like}: {other}; name a network of the same structure")
    with held(out):
        files.save(result, out)
        Build(out).start()
        write_classes(out, head.get("classes") or (facts or {}).get("classes") or parts.classes)
        if recipe is not None:
            write_atomic(out / "recipe.toml", rebased(recipe, run, out))
        elif facts is not None:
            write_atomic(out / "recipe.toml", bare_recipe(facts["name"], data_name, out))
    return {"build": str(out), **found.as_dict()}, found.table(), 0


def _run_facts(
    run: Path, recipe: bytes | None, force: bool
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """(name and data of a run's recipe or None, run.json: fraction bits that training chose)."""
    from sterna.gen.quantize.run_record import finished_record
    from sterna.golden.files.disk import parse_toml
    from sterna.golden.files.sources import moved, recipe_source

    facts = None
    if recipe is not None:
        path = run / "recipe.toml"
        body = parse_toml(recipe, path, "repair it")
        facts = {key: body[key] for key in ("name", "data") if isinstance(body.get(key), str)}
        if missing := [key for key in ("name", "data") if key not in facts]:
            raise FileError(f"{path}: is no recipe, its '{missing[0]}' is no text; repair it")
        facts["data"] = moved(recipe_source(body, str(path)), run, ".")
    if facts is None:
        from sterna.front.run_folder import check_import, read_import

        record = read_import(run)
        if record is not None:
            check_import(run, record, force)
        facts = record and {
            "name": record["name"],
            "data": moved(record["data"], run, "."),
            "classes": record.get("classes", []),
        }
    return facts, finished_record(run)


# --- stages -----------------------------------------------------------------------------------


def options_of(options: argparse.Namespace) -> "Options":
    from sterna.gen.build.folding_file import read_folding
    from sterna.gen.build.stages import Options

    settings = read_folding(options.folding) if options.folding else {}
    given = {"family": options.family, "clock_mhz": options.clock, "fps": options.fps}
    given |= {"memory": options.memory, "patchable": options.patchable}
    given["memories"] = getattr(options, "memories", None)
    if options.command == "fold":
        given |= {"luts": options.luts, "board": options.board}
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
    answer = {"build": str(built.folder), "stage": upto, "files": wrote}
    return answer, "\n".join(str(built.folder / name) for name in wrote), 0


def fold(options: argparse.Namespace) -> Answer:
    """design.json, and the estimates it makes possible."""
    return _report(_ensure(options, "fold"))


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
    }
    return answer, f"{options.output}: {len(data)} bytes for the design of {built.folder}", 0


def verilog(options: argparse.Namespace) -> Answer:
    """Verilog, bench, vectors and register map."""
    return _stage(options, "verilog")


def build(options: argparse.Namespace) -> Answer:
    """All stages."""
    return _report(_ensure(options, "verilog"))


def report(options: argparse.Namespace) -> Answer:
    """report.json, report.html with the graph, and a table."""
    from sterna.gen.build.tables import page
    from sterna.golden.files.disk import canonical_json

    built = _ensure(options, "fold")
    answer = _report(built)
    with built.held():
        built.write("report.json", canonical_json(answer[0]))
        built.write("report.html", page(built, answer[0]))
    return answer


def _report(built: "Build") -> Answer:
    from sterna.gen.build.report import report
    from sterna.gen.build.tables import table

    answer = report(built)
    return {"build": str(built.folder), **answer}, table(answer), 0


# --- running ----------------------------------------------------------------------------------


def _with_images(
    options: argparse.Namespace, upto: str, few: int | None
) -> tuple["Build", images.Chosen]:
    """The build up to a stage, and the images it is to run on. Images that do not exist or do not
    fit are refused before the first stage."""
    from sterna.gen.build.stages import open_build
    from sterna.gen.tools.progress import Progress

    build = open_build(options.folder, options.output, progress=Progress())
    found = images.choose(options, build.network, build.folder, build.data, few)
    return _ensure(options, upto, 1, build), found


def eval(options: argparse.Namespace) -> Answer:
    """Accuracy of the golden model, and what it does, counted."""
    from sterna.commands.evaluated import evaluated

    built, found = _with_images(options, "fold", None)
    with options.progress.step(f"golden model, {len(found)} images"):
        answer, text = evaluated(options, built, found)
    return answer, text, 0


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
    built, found = _with_images(options, "verilog", few)
    results: list[Result] = []
    given = built, found.images, found.labels, engine, options.progress, results.append
    answer = verify(*given, wave=wave)
    predicted = joined(results)
    if options.predictions:
        images.write_predictions(options.predictions, found, predicted)
    if found.labels is None:
        answer["classes"] = predicted.classes.tolist()
        answer["shown"] = images.names_text(found, predicted.classes)
    # The host's speed is no property of the build, and a wave is to be looked at.
    fleeting = ("sim_clocks_per_second", "classes", "shown")
    if wave is None:
        lasting = {k: v for k, v in answer.items() if k not in fleeting}
        keep_measurement(built, f"sim_{engine}", lasting)
    return built, answer


def sim(options: argparse.Namespace) -> Answer:
    """The Verilog on test images, every spike compared with golden; fails on any mismatch."""
    from sterna.sim.verify import verify_text

    _, answer = _verified(options, options.engine)
    shown = answer.pop("shown", "")
    text = f"{shown}\n{verify_text(answer)}" if shown else verify_text(answer)
    return answer, text, 1 if answer["mismatches"] else 0


def compare(options: argparse.Namespace) -> Answer:
    """The first difference between golden and the Verilog; fails if there is one."""
    options.images = options.images or 16
    _, answer = _verified(options, "batch")
    short = {k: answer[k] for k in ("images", "spikes_compared", "mismatches", "first_difference")}
    text = answer["first_difference"] or (
        f"no difference: {answer['spikes_compared']} spikes of {answer['images']} images"
    )
    return short, text, 1 if answer["mismatches"] else 0


def synth(options: argparse.Namespace) -> Answer:
    """Resources by yosys, out of context."""
    from sterna.gen.build.stages import open_build
    from sterna.gen.build.synthesis import COUNTS, synthesise
    from sterna.gen.build.tables import rows_text
    from sterna.gen.tools.programs import find
    from sterna.gen.tools.progress import Progress

    find("yosys")  # before a folder is made
    progress = Progress(1)
    built = open_build(options.folder, options.output, progress=progress)
    answer = synthesise(built, options.target, options_of(options), progress)
    counted = (answer[k] for k in COUNTS)
    numbers = [["yosys", *(f"{v:.2f}" if isinstance(v, float) else v for v in counted)]]
    if (guess := answer["estimate"]) is not None:
        numbers.append(["estimate", *(guess.get(k, "") for k in COUNTS)])
    return answer, rows_text(("", *COUNTS), numbers), 0


def lint(options: argparse.Namespace) -> Answer:
    """Verilator's warnings; fails at the first one."""
    from sterna.gen.build.lint import lint
    from sterna.gen.tools.programs import find

    find("verilator")
    built = _ensure(options, "verilog", 1)
    with options.progress.step("verilator -Wall"):
        lint(built)
    return {"build": str(built.folder), "warnings": 0}, f"{built.verilog}: no warning", 0


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
    return answer, text, 1 if answer["mismatches"] else 0


def doctor(options: argparse.Namespace) -> Answer:
    """Look at the machine; 3 where something needed is missing."""
    from sterna.gen.tools import doctor as doctors

    checks = doctors.first_stage() if options.first else doctors.examine()
    answer = doctors.report(checks)
    return answer, doctors.table(checks), 0 if answer["ok"] else 3


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
