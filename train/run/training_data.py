"""What a run is trained on: the recipe's data set, another by its name, or images themselves."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sterna.golden.files.sources import moved, read_source, with_data
from sterna.train.data import datasets
from sterna.train.data.image_set import ImageSet
from sterna.train.data.sets import DataSet, Wanted
from sterna.train.recipe.recipe import Recipe, build_network

__all__ = ["TrainingData"]


@dataclass
class TrainingData:
    """Of one recipe. given: None (the recipe's), a name, whose path begins where the program runs,
    a `DataSet`, or what `ImageSet` takes."""

    recipe: Recipe
    given: Any = field(default=None, repr=False)

    @cached_property
    def name(self) -> str:
        """Of the data set, '' where the images themselves were given."""
        if self.given is None:
            return self.recipe.source
        return self.given if isinstance(self.given, str) else ""

    @cached_property
    def _folder(self) -> Path | None:
        """Where a relative path begins."""
        return self.recipe.folder if self.given is None else None

    @property
    def own(self) -> bool:
        """Whether the images are known by their content, not by a name that all know."""
        return not self.name or read_source(self.name, f"recipe '{self.recipe.name}'").own

    @cached_property
    def parts(self) -> DataSet:
        """The images. UsageError, FileError: there are none, or they cannot be used."""
        if isinstance(self.given, DataSet):
            return self.given
        if self.name:
            wanted = Wanted.by(build_network(self.recipe, self.recipe.seed))
            return datasets.load(self.name, self._folder, wanted)
        given = self.given if isinstance(self.given, ImageSet) else ImageSet(self.given)
        return given.parts()

    @property
    def identity(self) -> str:
        """What the run says it was trained on."""
        return self.parts.identity if self.own else self.name

    def facts(self) -> dict[str, Any]:
        """What run.json says of it beside that."""
        classes = self.parts.classes or datasets.class_names(self.name)
        named = {"classes": list(classes)} if classes else {}
        return named | ({"data_hash": self.parts.hash} if self.own else {})

    def kept_recipe(self, out: Path) -> str:
        """The recipe's text for the run folder ``out``: what it says of its data is true there."""
        data = moved(self.name, self._folder or Path(), out) if self.name else self.identity
        if data == self.recipe.source:
            return self.recipe.text
        return with_data(self.recipe.text, data, f"recipe '{self.recipe.name}'")
