"""Train a network: by a recipe, or the weights of one that came in.

Goes on where an earlier call stopped, in the same folder. Prints a line an epoch.

Parameters
----------
recipe : str, path, FloatNetwork or Imported
    A recipe file (or a folder with one); or a network whose weights are trained on as ternary or
    binary ones, real ones of an import being calibrated first.
data : (images, labels), an image set, a name, or None
    An `ImageSet` or a torch Dataset, too. Of images without parts a fifth of each class is kept for
    the test and a tenth for validation, by the hash of their content. The
    name of a data set, or None for the recipe's own, go with a recipe.
out : str or path
    Run folder.
minutes : float, optional
    Stop after so long; call again to go on.
epochs : int, optional
    Of a network (default 3), and one more through the integers. A recipe has its own.
seed : int, optional
    Instead of the recipe's.
callbacks : functions, optional
    Each is called after each epoch with a dict: 'epoch', 'loss', 'validation' and more.

Returns
-------
Run
    With ``network``, ``history`` and ``metrics``; ``quantize`` takes it.

Raises
------
UsageError
    An argument is not meant, or the folder holds another run.
NetworkError
    The network cannot become integers.
"""

import sys
from types import ModuleType
from typing import Any

__all__: list[str] = []


class _Callable(ModuleType):
    """``sterna.train`` is this package, and what trains: both are called so."""

    def __call__(
        self,
        recipe: Any,
        data: Any,
        out: Any,
        *,
        minutes: Any = None,
        epochs: Any = None,
        seed: Any = None,
        callbacks: Any = (),
    ) -> Any:
        # only now: whatever is imported of this package would bring torch otherwise
        from sterna.golden.words.packages import packages

        with packages():
            from sterna.train.run.trained import train
        return train(
            recipe, data, out, minutes=minutes, epochs=epochs, seed=seed, callbacks=callbacks
        )


sys.modules[__name__].__class__ = _Callable
__module__, __qualname__ = "sterna", "train"  # as any function says where it is
