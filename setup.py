"""Maps the top-level folders to sub-packages of ``sterna``.

A plain ``package-dir`` list in pyproject.toml silently drops sub-folders and data files from the
wheel, so the folders are walked here.
"""

from pathlib import Path

from setuptools import find_packages, setup

FOLDERS = ("golden", "train", "hw", "gen", "sim", "host", "front")
DATA = ["*.cpp", "*.h", "*.vlt", "*.v", "*.lpf", "*.json", "*.j2", "*.css", "*.js", "py.typed"]

package_dir = {"sterna": "sterna"}
packages = ["sterna", *(f"sterna.{p}" for p in find_packages("sterna"))]
for folder in FOLDERS:
    package_dir[f"sterna.{folder}"] = folder
    packages += [f"sterna.{folder}", *(f"sterna.{folder}.{p}" for p in find_packages(folder))]

# The shipped networks, with what folds and trains them: of a folder with a network all that is
# its own (resnet20 also has its teacher, from which only the clone's recipes go on).
SHIPPED = ("network.json", "network.safetensors", "recipe.toml", "accuracy.json", "folding*.json")
shipped = [
    path.relative_to("examples").as_posix()
    for folder in sorted(p.parent for p in Path("examples").glob("*/network.json"))
    for pattern in SHIPPED
    for path in sorted(folder.glob(pattern))
]
package_data = dict.fromkeys(packages, DATA)
if shipped:
    package_dir["sterna.examples"] = "examples"
    packages.append("sterna.examples")
    package_data["sterna.examples"] = shipped

setup(
    packages=packages,
    package_dir=package_dir,
    package_data=package_data,
)
