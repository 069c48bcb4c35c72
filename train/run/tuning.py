"""The recipe that tunes a network which came in by `sterna import`."""

import json
from pathlib import Path

from sterna.front.run_folder import LATENTS, check_import, latents_of, read_import
from sterna.gen.quantize.float_network import FloatNetwork, Weighted
from sterna.golden.errors import UsageError
from sterna.golden.files.disk import make_folder, read_bytes, write_atomic
from sterna.golden.files.locks import held
from sterna.golden.files.sources import moved
from sterna.train.data import datasets
from sterna.train.data.sets import Wanted
from sterna.train.recipe.recipe_check import check_images

__all__ = ["BATCH", "enough", "tuning_recipe", "write_tuning"]

EPOCHS, BATCH = 3, 128
STEPS = 1000  # of the optimizer at least, unless somebody says how many epochs
FEWEST_BATCHES = 16  # batches an epoch, of sets that fill no two of BATCH
WAY = "give other data with --data"
TEXT = """\
# Tunes the weights of {source} as {kind} ones.
name = "{name}"
data = {data}
seed = 1
batch = {batch}

[network]
latents = "{latents}"
sha256 = "{digest}"
kind = "{kind}"
steps = {steps}
coding = "{coding}"

[[stage]]
epochs = {epochs}
steps = {steps}
lr = 3e-3
lr_rest = 1.5e-3

[[stage]]
epochs = 1
steps = {steps}
folded = true
lr = 3e-4
lr_rest = 1e-4
"""


def tuning_recipe(
    source: str | Path, out: str | Path, data: str, epochs: int | None, force: bool = False
) -> Path:
    """Write RUN/recipe.toml and the latents that it starts from; returns the recipe's path.

    ``data``: a data set's name, with its path as from where the program runs; '' is the import's.
    UsageError where ``source`` is no import, its check failed (but with ``force``), it came with
    final weights, or the data does not fit it.
    """
    record = read_import(source)
    if record is None:
        raise UsageError(f"{source}: has no import.json; give the folder of `sterna import`")
    check_import(source, record, force)
    network, place = latents_of(source), Path(out)
    data = moved(data, ".", place) if data else moved(record["data"], source, place)
    if not data:
        raise UsageError(f"{source}: came in without images to train on; give --data")
    parts = datasets.load(data, place, Wanted.by(network))
    check_images(str(source), network, parts, WAY)  # a run that is refused leaves nothing behind
    count = len(parts.train[1])
    batch = BATCH if count >= 2 * BATCH else max(1, count // FEWEST_BATCHES)
    name, whence = record["name"], Path(source).name
    return write_tuning(network, place, name, data, epochs or enough(count, batch), whence, batch)


def enough(images: int, batch: int) -> int:
    """Epochs of ``images`` that make trits of calibrated weights settle at another place: EPOCHS,
    and more of them where a set is small."""
    return max(EPOCHS, -(-STEPS // max(1, images // batch)))


def write_tuning(
    network: FloatNetwork,
    out: Path,
    name: str,
    data: str,
    epochs: int,
    source: str,
    batch: int,
) -> Path:
    """Into ``out``, the recipe that trains ``network``'s weights on as latents; its path.

    ``data`` is the data set's name as from there. UsageError where there is another recipe already.
    """
    kinds = {n.kind for n in network.nodes if isinstance(n, Weighted)}
    text = TEXT.format(
        source=source,
        name=name,
        data=json.dumps(data, ensure_ascii=False),
        latents=LATENTS,
        digest=network.digest,
        kind="binary" if kinds == {"binary"} else "ternary",
        steps=network.steps,
        coding=network.input.coding,
        epochs=epochs,
        batch=batch,
    )
    path = out / "recipe.toml"
    if path.is_file() and read_bytes(path, 1 << 20) != text.encode():
        raise UsageError(f"{path}: is another recipe; give another folder, or delete it")
    make_folder(out)
    with held(out):
        network.save(out, LATENTS)
        write_atomic(path, text.encode())
    return path
