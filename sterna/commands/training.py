"""The commands ``sterna train`` and ``sterna quantize``; as those of networks.py."""

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sterna.images as images
from sterna.golden.errors import FileError, UsageError
from sterna.golden.words.telling import tell

if TYPE_CHECKING:
    from sterna.gen.build.folder import Build

__all__ = ["quantize", "train"]

Answer = tuple[dict[str, Any], str, int]


def train(options: argparse.Namespace) -> Answer:
    """Train a recipe into a run folder; goes on where an earlier call stopped."""
    from sterna.train.run.run import train

    recipe = _recipe(options)
    answer = train(
        recipe,
        options.output,
        max_minutes=options.max_minutes,
        seed=options.seed,
        progress=tell,
        data=_training_data(options, recipe),
        untrained=options.untrained,
        resume=options.resume,
    )
    wrote = [options.output, *([options.curves] if options.curves else [])]
    if options.curves:
        from sterna.train.run.curves import write_curves

        write_curves(Path(options.curves), Path(options.output))
    if answer.pop("rank"):  # of several processes only the first has something to say
        return {}, "", 0
    answer["wrote"] = wrote
    if answer.get("untrained"):
        return answer, f"{answer['name']}: random weights, batch norms measured", 0
    state = "done" if answer["done"] else "not done yet, run the same command again to go on"
    text = f"{answer['name']}: epoch {answer['epoch']} of {answer['epochs']}, {state}"
    scores = {k: v for k, v in answer.items() if k.startswith(("validation", "test"))}
    text += "".join(f"\n{k.replace('_', ' ')}: {v:.2%}" for k, v in scores.items())
    began = answer.get("validation_start")
    if began is not None and answer["done"] and answer["validation_folded"] < began:
        text += (
            f"\nthis is worse than what it began with ({began:.2%}): train longer with --epochs, "
            "in another folder, or quantize the import as it is"
        )
    if answer["done"]:
        run = shlex.quote(options.output)
        text += f"\nnext: sterna quantize {run} -o build/{answer['name']}"
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
    return recipe / "recipe.toml" if (recipe / "recipe.toml").is_file() else recipe


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
    from sterna.gen.build.replace import check_replaced
    from sterna.gen.quantize.float_network import FloatNetwork
    from sterna.gen.quantize.quantize import quantize
    from sterna.gen.tools.progress import Progress
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
    progress = Progress(1)
    with progress.step(f"quantize, calibrated on {options.images} images"):
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
        if (out / "network.json").exists():
            check_replaced(out, result, f"that of {source}", True, progress)
        files.save(result, out)
        Build(out).start()
        write_classes(out, head.get("classes") or (facts or {}).get("classes") or parts.classes)
        if recipe is not None:
            write_atomic(out / "recipe.toml", rebased(recipe, run, out))
        elif facts is not None:
            write_atomic(out / "recipe.toml", bare_recipe(facts["name"], data_name, out))
    _keep_history(run, Build(out))
    answer = {"build": str(out), **found.as_dict(), "wrote": [str(out)]}
    return answer, f"{found.table()}\nnext: sterna build {shlex.quote(str(out))}", 0


def _keep_history(run: Path, build: "Build") -> None:
    """The epochs of the run, of this very network, for the report."""
    from sterna.gen.build.measurements import keep_measurement
    from sterna.train.run.curves import curve

    if (found := curve(run)) is not None:
        keep_measurement(build, "training", found, design=False)


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
