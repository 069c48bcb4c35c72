"""Maps the top-level folders to sub-packages of ``sterna``.

A plain ``package-dir`` list in pyproject.toml silently drops sub-folders and data files from the
wheel, so the folders are walked here.
"""

from setuptools import find_packages, setup

FOLDERS = ("golden", "train", "hw", "gen", "sim", "host", "front")
DATA = ["*.cpp", "*.h", "*.vlt", "*.v", "*.lpf", "*.json", "*.j2", "*.css", "*.js", "py.typed"]

package_dir = {"sterna": "sterna"}
packages = ["sterna", *(f"sterna.{p}" for p in find_packages("sterna"))]
for folder in FOLDERS:
    package_dir[f"sterna.{folder}"] = folder
    packages += [f"sterna.{folder}", *(f"sterna.{folder}.{p}" for p in find_packages(folder))]

setup(
    packages=packages,
    package_dir=package_dir,
    package_data=dict.fromkeys(packages, DATA),
)
