"""Skip search: which skips between a network's layers are worth their hardware.

Bayesian optimisation (Optuna's TPE) over the matrices of arXiv 2303.13563, with several objectives:
the validation accuracy of the integer network, and what it costs. All members share the weights of
one super-network; each measures its batch norms, is tuned for some epochs, quantized and folded.

DIR holds recipe.toml, supernet.safetensors, study.db (SQLite, unless another storage is given) and
what `searchtable` and `searchplots` make of the study.
"""

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sterna.gen.quantize.float_network import FloatNeuron
from sterna.gen.quantize.quantize import quantize
from sterna.golden.errors import DesignError, NetworkError, UsageError
from sterna.golden.files.disk import read_bytes, sha256, write_atomic
from sterna.golden.files.sources import rebased
from sterna.golden.network import Network
from sterna.train.data import datasets
from sterna.train.data.sets import DataSet, Wanted
from sterna.train.module.module import SpikingModule
from sterna.train.module.schedule import measure_norms
from sterna.train.recipe.recipe import LIMIT, Recipe, read_recipe
from sterna.train.recipe.recipe_check import check_data, check_recipe
from sterna.train.run.run import say
from sterna.train.run.trainer import EVAL_BATCH
from sterna.train.search.search_recipe import SearchSettings, read_search
from sterna.train.search.skip_cost import hardware_cost
from sterna.train.search.skip_space import NONE, Member, Space
from sterna.train.search.storage import database_errors, open_storage
from sterna.train.search.supernet import SuperNet, tune
from sterna.train.search.table import Row, write_outcome

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["Search", "search", "spiking_figures"]

CALIBRATION = 64  # images; the fraction bits of a member that is trained on anyway if it is chosen
REPEATS = 3  # trials in a row that were known already, until an unknown member is drawn


def search(
    recipe: str | Path,
    out: str | Path,
    *,
    trials: int | None = None,
    storage: str | None = None,
    max_minutes: float | None = None,
    progress: Callable[[str], None] | None = None,
    data: DataSet | None = None,
) -> dict[str, Any]:
    """Search the skips of RECIPE's blocks into the folder OUT, going on where an earlier call or
    another worker stopped.

    ``trials``: members to evaluate in all (default: the recipe's). ``storage``: an SQLAlchemy URL
    of a database that workers share; default SQLite in OUT. Test images are never looked at.

    Returns {"done", "name", "members", "space", "best", "front", ...}; "front" are the rows of
    the trials that no other one beats in everything.
    """
    parsed = read_recipe(recipe)
    settings = read_search(parsed)
    space = Space(parsed, settings.types, settings.tie)
    worker = Search(parsed, settings, space, Path(out), data, progress or say)
    stop = math.inf if max_minutes is None else time.monotonic() + max_minutes * 60
    return worker.run(min(trials or settings.trials, space.size), storage, stop)


@dataclass
class Search:
    """One worker of a search."""

    recipe: Recipe
    settings: SearchSettings
    space: Space
    out: Path
    data: DataSet | None
    progress: Callable[[str], None]

    def __post_init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = check_recipe(self.space.recipe(self.space.uniform(NONE)))
        parts = self.data or datasets.load(
            self.recipe.source, self.recipe.folder, Wanted.by(network)
        )
        check_data(self.recipe, network, parts)
        count = self.settings.validation or len(parts.validation[0])
        few = self.recipe.images or len(parts.train[0])
        self.train, self.validation = [
            (torch.tensor(x[:n], device=self.device), torch.tensor(y[:n], device=self.device))
            for (x, y), n in ((parts.train, few), (parts.validation, count))
        ]
        self.net = SuperNet(self.space, self.settings.super, self.out, self.device)

    def run(self, wanted: int, storage: str | None, stop: float) -> dict[str, Any]:
        """Evaluate members until ``wanted`` different ones are or the clock is at ``stop``."""
        self._claim()
        url = storage if storage is not None else f"sqlite:///{self.out.resolve() / 'study.db'}"
        store = open_storage(url)
        if storage is not None:
            with database_errors(url):
                self._check_weights_are_here(store)
        if not self.net.train(self.train, stop, self.progress):
            return {
                "name": self.recipe.name,
                "done": False,
                "members": 0,
                "of": wanted,
                "space": self.space.size,
                "front": [],
                "best": None,
            }
        with database_errors(url):
            return self._evaluate_all(store, wanted, stop)

    def _evaluate_all(self, store: "BaseStorage", wanted: int, stop: float) -> dict[str, Any]:
        study = self._study(store)
        self._enqueue_first(study)
        repeats = 0
        while len(self._known(study)) < wanted and time.monotonic() < stop:
            before = len(self._known(study))
            if repeats >= REPEATS:
                self._enqueue_unknown(study)
            study.sampler = self._sampler(len(study.get_trials(deepcopy=False)))
            study.optimize(lambda t: self._objective(t, study, wanted), n_trials=1)
            repeats = repeats + 1 if len(self._known(study)) == before else 0
        return self.outcome(study, wanted)

    def _claim(self) -> None:
        """The folder is of this recipe from now on."""
        path, text = self.out / "recipe.toml", self.recipe.text.encode()
        if self.recipe.folder is not None:
            text = rebased(text, self.recipe.folder, self.out)
        if path.is_file() and read_bytes(path, LIMIT) != text:
            raise UsageError(
                f"{path}: is another recipe; give another folder, or delete this one to begin anew"
            )
        write_atomic(path, text)

    def _study(self, store: "BaseStorage") -> "Study":
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(
            study_name=self.recipe.name,
            storage=store,
            load_if_exists=True,
            directions=["maximize", *("minimize" for _ in self.settings.costs)],
        )
        self._agree(study, "recipe", sha256(self.recipe.text.encode()))
        self._agree(study, "supernet", self.net.digest)
        return study

    def _agree(self, study: "Study", key: str, fact: str) -> None:
        """Every worker of a study has the same recipe and shared weights as the first one."""
        known = study.user_attrs.get(key)
        if known is None:
            study.set_user_attr(key, fact)
        elif known != fact:
            way = {
                "recipe": "was begun with another recipe; give the recipe another name",
                "supernet": f"has other shared weights; {self._copy}",
            }[key]
            raise UsageError(f"study '{self.recipe.name}' of that storage {way}")

    def _check_weights_are_here(self, store: "BaseStorage") -> None:
        """Before weights are trained that a study, begun by another worker, would refuse."""
        import optuna

        name = self.recipe.name
        if name not in optuna.get_all_study_names(store) or self.net.path.is_file():
            return
        study = optuna.load_study(study_name=name, storage=store)
        self._agree(study, "recipe", sha256(self.recipe.text.encode()))
        if "supernet" in study.user_attrs:
            raise UsageError(f"study '{name}' of that storage has shared weights; {self._copy}")

    @property
    def _copy(self) -> str:
        return (
            f"copy {self.net.path.name} from the folder of the worker that began it to {self.out}"
        )

    def _sampler(self, number: int) -> Any:
        from optuna import exceptions, samplers

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", exceptions.ExperimentalWarning)
            return samplers.TPESampler(
                multivariate=True,
                constant_liar=True,
                n_startup_trials=10,
                seed=int(np.random.default_rng([self.recipe.seed, number]).integers(1 << 31)),
            )

    def _enqueue_first(self, study: "Study") -> None:
        """What everything is compared with, and the corners; again where a trial was cut off."""
        from optuna.trial import TrialState

        trials = study.get_trials(False, (TrialState.WAITING, TrialState.RUNNING))
        waiting = [t.system_attrs.get("fixed_params", t.params) for t in trials]
        known = self._known(study)
        for type_ in (NONE, *self.settings.types):
            member = self.space.uniform(type_)
            params = self.space.params(member)
            if member not in known and params not in waiting:
                study.enqueue_trial(params)
                waiting.append(params)

    # -- trials --------------------------------------------------------------------------------

    def _known(self, study: "Study") -> dict[Member, "FrozenTrial"]:
        """The first trial of each member that was evaluated or refused."""
        from optuna.trial import TrialState

        found: dict[Member, FrozenTrial] = {}
        for trial in study.get_trials(False, (TrialState.COMPLETE, TrialState.PRUNED)):
            found.setdefault(self.space.member(trial.params), trial)
        return found

    def _enqueue_unknown(self, study: "Study") -> None:
        """The sampler keeps to what it knows: draw something else."""
        known = self._known(study)
        rng = np.random.default_rng([self.recipe.seed, 4, len(study.get_trials(deepcopy=False))])
        if self.space.size <= 1 << 16:
            open_ = [m for m in self.space.members() if m not in known]
            member = open_[int(rng.integers(len(open_)))]
        else:
            member = next(m for m in iter(lambda: self.space.draw(rng), None) if m not in known)
        study.enqueue_trial(self.space.params(member))

    def _objective(self, trial: "Trial", study: "Study", wanted: int) -> tuple[float, ...]:
        from optuna import TrialPruned

        params = {
            p.key: trial.suggest_categorical(p.key, (NONE, *p.types)) for p in self.space.places
        }
        member = self.space.member(params)
        known = self._known(study)
        if member in known:
            trial.set_user_attr("as", known[member].number)
            if known[member].values is None:
                raise TrialPruned
            return tuple(known[member].values)
        begin = time.monotonic()
        try:
            figures = self.evaluate(member)
        except (NetworkError, DesignError) as e:
            if member == self.space.uniform(NONE):
                raise  # nothing can be compared with it: the recipe is wrong
            trial.set_user_attr("refused", str(e))
            raise TrialPruned from e
        figures["seconds"] = round(time.monotonic() - begin, 1)
        trial.set_user_attr("figures", figures)
        costs = [float(figures[c]) for c in self.settings.costs]
        said = ", ".join(f"{figures[c]:,} {c}" for c in self.settings.costs)
        self.progress(
            f"[{len(known) + 1}/{wanted}] {self.space.label(member)}: validation "
            f"{figures['accuracy']:.2%}, {said}, {figures['seconds']:.0f} s"
        )
        return figures["accuracy"], *costs

    def evaluate(self, member: Member) -> dict[str, Any]:
        """Accuracy, spikes and hardware of a member."""
        module, network = self.integer(member)
        cost = hardware_cost(network, self.settings.fps, self.settings.clock_mhz)
        return spiking_figures(module, *self.validation) | cost.as_dict()

    def integer(self, member: Member) -> tuple[SpikingModule, Network]:
        """A member from the shared weights on: tuned, and in its integer form, the module too."""
        module = self.net.module(member)
        tune(module, self.space.recipe(member), self.settings.tune, self.train)
        measure_norms(module, self.train[0], min(self.settings.norm_images, len(self.train[0])))
        few = self.train[0][:CALIBRATION].cpu().numpy()
        network, report = quantize(module.export(), few)
        module.fraction_bits = {r.name: r.fraction_bits for r in report.layers}
        return module, network

    # -- results -------------------------------------------------------------------------------

    def outcome(self, study: "Study", wanted: int) -> dict[str, Any]:
        """Tables, recipes and plots of everything that the study holds; the summary."""
        rows = []
        for member, trial in self._known(study).items():
            figures = trial.user_attrs.get("figures", {})
            rows.append(
                Row(
                    trial.number,
                    self.space.label(member),
                    member,
                    figures,
                    trial.user_attrs.get("refused", ""),
                )
            )
        rows.sort(key=lambda row: row.number)
        count, importance = len(self.validation[0]), self._importance(study)
        answer = write_outcome(
            self.out, self.recipe, self.settings, self.space, rows, count, importance
        )
        if answer["front"]:
            from sterna.train.search.plots import draw_plots  # matplotlib only where it is needed

            name, settings = self.recipe.name, self.settings
            draw_plots(self.out / "plots", name, settings, self.space, rows, count, importance)
        head = {
            "name": self.recipe.name,
            "done": len(rows) >= wanted,
            "members": len(rows),
            "of": wanted,
            "space": self.space.size,
        }
        return head | answer

    def _importance(self, study: "Study") -> dict[str, float]:
        """By place, the share of the accuracies' variance that it explains, alone or together with
        others (fANOVA: a random forest fitted to the trials); empty for too few trials."""
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances
        from optuna.trial import TrialState

        accuracies = {t.values[0] for t in study.get_trials(False, (TrialState.COMPLETE,))}
        if len(accuracies) < 4:
            return {}
        found = get_param_importances(
            study, evaluator=FanovaImportanceEvaluator(seed=0), target=lambda t: t.values[0]
        )
        return {p.key: round(float(found.get(p.key, 0.0)), 4) for p in self.space.places}


@torch.no_grad()
def spiking_figures(module: SpikingModule, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Of the integer network: accuracy, spikes an image, and the share of its neurons' time steps
    with a spike, of all and by neuron."""
    names = tuple(n.name for n in module.network.nodes if isinstance(n, FloatNeuron))
    right, spikes = 0, dict.fromkeys(names, 0.0)
    for k in range(0, len(images), EVAL_BATCH):
        logits, streams = module.trace(images[k : k + EVAL_BATCH], names)
        right += int((logits.argmax(1) == labels[k : k + EVAL_BATCH]).sum())
        for name in names:
            spikes[name] += float(streams[name].sum(dtype=torch.float64))
    sites = {n: module.network.steps * math.prod(module.network.shape[n]) for n in names}
    count = len(images)
    return {
        "accuracy": right / count,
        "spikes": round(sum(spikes.values()) / count, 2),
        "rate": round(sum(spikes.values()) / count / sum(sites.values()), 6),
        "rates": {n: round(spikes[n] / count / sites[n], 6) for n in names},
    }
