"""Puts this folder and the network generator on the import path."""

import sys
from pathlib import Path

for folder in (Path(__file__).parent, Path(__file__).parents[1] / "system"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
