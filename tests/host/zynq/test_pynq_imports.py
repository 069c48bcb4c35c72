"""What PynqBoard asks of a board's Python: a PYNQ image has 3.10, numpy 1 and pynq; safetensors
is added."""

import subprocess
import sys

IMAGE = """
import ast, hashlib, importlib, sys
class Ban:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in {"numpy", "safetensors", "sterna", *sys.stdlib_module_names} - {"tomllib"}:
            raise ModuleNotFoundError(f"{name} is banned here", name=name)
import numpy
del hashlib.file_digest
sys.meta_path.insert(0, Ban())
import sterna
sterna.PynqBoard
for name, module in [*sys.modules.items()]:
    if name.startswith("sterna") and module.__file__:
        ast.parse(open(module.__file__).read(), feature_version=(3, 10))
print(len([name for name in sys.modules if name.startswith("sterna.")]))
"""


def test_it_imports_with_numpy_and_safetensors_and_in_the_words_of_python_3_10():
    done = subprocess.run(
        [sys.executable, "-c", IMAGE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
