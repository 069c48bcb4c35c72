"""Ternary and binary spiking ConvNets to FPGA designs that compute exactly the same.

Every name below, and ``__version__``, is found when it is first used: ``import sterna`` itself
costs nothing.
"""

import importlib

# public name -> (module, name in it)
_PUBLIC = {
    "SternaError": ("sterna.golden.errors", "SternaError"),
    "NetworkError": ("sterna.golden.errors", "NetworkError"),
    "FileError": ("sterna.golden.errors", "FileError"),
    "DesignError": ("sterna.golden.errors", "DesignError"),
    "UsageError": ("sterna.golden.errors", "UsageError"),
    "ToolMissing": ("sterna.golden.errors", "ToolMissing"),
    "NeuronRule": ("sterna.golden.rule", "NeuronRule"),
    "Decay": ("sterna.golden.rule", "Decay"),
    "Network": ("sterna.golden.network", "Network"),
    "Input": ("sterna.golden.network", "Input"),
    "Conv2d": ("sterna.golden.network", "Conv2d"),
    "Linear": ("sterna.golden.network", "Linear"),
    "Neuron": ("sterna.golden.network", "Neuron"),
    "Pool": ("sterna.golden.network", "Pool"),
    "Merge": ("sterna.golden.network", "Merge"),
    "Readout": ("sterna.golden.network", "Readout"),
    "Result": ("sterna.golden.result", "Result"),
    "compare": ("sterna.golden.result", "compare"),
    "Difference": ("sterna.golden.result", "Difference"),
    "load": ("sterna.golden.files.network_files", "load"),
    "run": ("sterna.golden.exact", "run"),
    "example": ("sterna.shipped", "example"),
    "examples": ("sterna.shipped", "examples"),
    "evaluate": ("sterna.evaluation", "evaluate"),
    "Evaluation": ("sterna.evaluation", "Evaluation"),
    "from_torch": ("sterna.front.pytorch.model", "from_torch"),
    "from_nir": ("sterna.front.nir", "from_nir"),
    "from_qonnx": ("sterna.front.qonnx.model", "from_qonnx"),
    "to_nir": ("sterna.front.nir_write", "to_nir"),
    "Imported": ("sterna.front.imported", "Imported"),
    "FloatNetwork": ("sterna.gen.quantize.float_network", "FloatNetwork"),
    "quantize": ("sterna.gen.quantize.quantize", "quantize"),
    "fold": ("sterna.gen.fold.fold", "fold"),
    "solve": ("sterna.gen.fold.solve", "solve"),
    "build": ("sterna.building", "build"),
    "Build": ("sterna.built", "Build"),
    "Run": ("sterna.train.run.trained", "Run"),
    "Board": ("sterna.host.board", "Board"),
    "PynqBoard": ("sterna.host.zynq.board", "PynqBoard"),
    "selftest": ("sterna.host.selftest.selftest", "selftest"),
    "Simulator": ("sterna.sim.simulator", "Simulator"),
    "simulate": ("sterna.sim.verify", "simulate"),
}
_FOLDERS = ("golden", "train", "hw", "gen", "sim", "host", "front", "data")

# A package that is called, too: importing anything in it would put it in a function's place.
_CALLED = ("train",)
__all__ = [*_PUBLIC, *_CALLED]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    if name in _PUBLIC:
        module, attribute = _PUBLIC[name]
        from sterna.golden.words.packages import packages

        with packages():  # a missing one is refused with what installs it
            value = getattr(importlib.import_module(module), attribute)
        globals()[name] = value
        return value
    if name == "__version__":
        from importlib.metadata import version

        return version("sterna")
    if name in (*_FOLDERS, "nn"):
        return importlib.import_module(f"sterna.{name}")
    raise AttributeError(f"module 'sterna' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), "__version__", *_PUBLIC, *_FOLDERS, "nn"])
