"""``sterna.train``: a recipe, or a network that came in, trained in one call."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sterna.front.imported import Imported
from sterna.gen.quantize.arguments import batch_axis, labels_of
from sterna.gen.quantize.float_network import FloatNetwork, Weighted
from sterna.gen.quantize.input_norm import plain_input
from sterna.gen.quantize.reference import raw_images
from sterna.golden.errors import UsageError
from sterna.golden.files.disk import StrPath
from sterna.golden.words import values
from sterna.golden.words.given import images_of
from sterna.golden.words.names import legal_name, show
from sterna.golden.words.shown import Shown
from sterna.train.data.image_set import ImageSet
from sterna.train.data.sets import DataSet
from sterna.train.recipe.recipe import build_network, read_recipe
from sterna.train.run.curves import read_history
from sterna.train.run.run import train as train_recipe
from sterna.train.run.tuning import BATCH, enough, write_tuning
from sterna.train.run.watch import check_callbacks

__all__ = ["Run", "train"]

Callback = Callable[[dict[str, Any]], object]
LEAST_STEPS = 16  # an epoch: of few images a batch has fewer


@dataclass(frozen=True, repr=False)
class Run(Shown):
    """A run folder of training.

    Parameters
    ----------
    folder : Path
        What ``sterna quantize`` and ``sterna train`` take, too.
    metrics : dict
        'done', 'epoch', 'epochs', 'minutes'; once done 'validation_real', 'test_real' and, where
        training went through the integers, 'validation_folded' and 'test_folded'.
    """

    folder: Path
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> FloatNetwork:
        """As it is trained so far."""
        return FloatNetwork.load(self.folder)

    @property
    def history(self) -> list[dict[str, Any]]:
        """A dict an epoch: 'epoch', 'steps', 'folded', 'loss', 'validation', 'seconds'."""
        return read_history(self.folder)

    @property
    def fraction_bits(self) -> dict[str, int] | None:
        """F by neuron, where training chose it: ``quantize`` keeps it."""
        return self.metrics.get("fraction_bits")

    @property
    def done(self) -> bool:
        """Whether nothing is left to train."""
        return bool(self.metrics.get("done"))

    def __str__(self) -> str:
        epochs = "epoch {} of {}".format(*(self.metrics.get(k, "?") for k in ("epoch", "epochs")))
        scores = [
            f"{k.replace('_', ' ')} {v:.2%}"
            for k, v in self.metrics.items()
            if k.startswith(("validation", "test"))
        ]
        state = "done" if self.done else "not done"
        return f"{self.folder}: {', '.join([epochs, state, *scores])}"


def train(
    recipe: StrPath | FloatNetwork | Imported,
    data: Any,
    out: StrPath,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    callbacks: Iterable[Callback] = (),
) -> Run:
    """See ``sterna.train``, whose docstring is the package's."""
    folder = values.path("out", out)
    hooks = check_callbacks(callbacks)
    if minutes is not None:
        refusal = f"minutes {show(minutes)} must be a number from 0, or None"
        minutes = values.number(refusal, minutes, error=UsageError)
        if minutes < 0:
            raise UsageError(refusal)
    if epochs is not None:
        refusal = f"epochs {show(epochs)} must be a whole number from 1, or None"
        epochs = values.integer(refusal, epochs, 1, 1_000_000, UsageError)
    if seed is not None:
        refusal = f"seed {show(seed)} must be a whole number from 0 to 2**32-1, or None"
        seed = values.integer(refusal, seed, 0, 2**32 - 1, UsageError)
    if isinstance(recipe, FloatNetwork | Imported):
        parts = _parts(recipe if isinstance(recipe, FloatNetwork) else recipe.network, data)
        path, name = _tuned(recipe, parts, folder, epochs), ""
    else:
        path = values.path("recipe", recipe)
        if epochs is not None:
            raise UsageError("epochs goes with a network; a recipe has its own stages")
        named = data is None or isinstance(data, str)
        name = data or "" if named else ""
        parts = None if named else _parts(_network_of(path), data)
    answer = train_recipe(
        path,
        folder,
        max_minutes=minutes,
        seed=seed,
        data=parts or name or None,
        callbacks=hooks,
    )
    return Run(folder, {k: v for k, v in answer.items() if k != "rank"})


def _network_of(path: Path) -> FloatNetwork:
    recipe = read_recipe(path)
    return build_network(recipe, recipe.seed)


def _tuned(given: FloatNetwork | Imported, parts: DataSet, out: Path, epochs: int | None) -> Path:
    """The recipe that trains a network's own weights on; real ones are calibrated first."""
    imported = given if isinstance(given, Imported) else None
    network = given if isinstance(given, FloatNetwork) else given.network
    if imported is not None and imported.latents is None and _is_real(network):
        imported = imported.calibrate(parts.train)
    if imported is not None and imported.latents is not None:
        network = imported.latents
    if _is_real(network):
        raise UsageError(
            "train: the network has real weights, of which nothing can be built; give what "
            "Imported.calibrate returned, or make them of kind 'ternary'"
        )
    name = legal_name(out.resolve().name)
    count = len(parts.train[1])
    batch = min(BATCH, max(1, count // LEAST_STEPS))
    epochs = epochs or enough(count, batch)
    return write_tuning(plain_input(network), out, name, parts.identity, epochs, "a network", batch)


def _is_real(network: FloatNetwork) -> bool:
    return any(isinstance(n, Weighted) and n.kind == "real" for n in network.nodes)


def _parts(network: FloatNetwork, data: Any) -> DataSet:
    """The three parts of a set; plain images are split by content."""
    if isinstance(data, DataSet | ImageSet):
        return data if isinstance(data, DataSet) else data.parts()
    images, labels = images_of(data, "train")
    if labels is None and hasattr(data, "__getitem__") and not hasattr(data, "dtype"):
        return ImageSet(data, like=network).parts()  # somebody's Dataset
    if labels is None:
        raise UsageError("train: has no labels; give (images, labels)")
    network = plain_input(network)
    images = np.array(raw_images(network.input, images, network.steps))
    labels = labels_of(network, labels, images.shape[batch_axis(network)])
    frames = images.swapaxes(0, 1) if batch_axis(network) else images
    return ImageSet((frames, labels), like=network).parts()
