# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
# ---

# %% [markdown]
# # A folder of PNGs to a ULX3S
#
# Every step is a command of the shell, which `sterna()` below runs and prints. The pictures are
# made up: put your own in, a sub-folder a class.
#
# Needs `pip install 'sterna[data]'`. `python examples/front/pictures.py`, or `jupytext --to
# ipynb` of it.

# %%
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

# %% tags=["parameters"]
folder, each, side = Path("build/pictures"), 60, 16
options = []  # of `sterna train`, such as ["--max-minutes", "5"]
bitstream = False  # place and route for the board: some minutes more

# %% [markdown]
# ## Pictures
#
# Rings, crosses and boxes, somewhere in noise.

# %%
rng = np.random.default_rng(0)


def picture(kind: str) -> Image.Image:
    y, x = np.mgrid[:side, :side] - (side - 1) / 2 + rng.integers(-2, 3, (2, 1, 1))
    near = {
        "ring": np.abs(np.hypot(x, y) - side / 4),
        "cross": np.minimum(np.abs(x), np.abs(y)),
        "box": np.abs(np.maximum(np.abs(x), np.abs(y)) - side / 4),
    }[kind]
    pixels = np.where(near < 1, 200, 30) + rng.integers(0, 56, (side, side))
    return Image.fromarray(pixels.astype(np.uint8))


for kind in ("ring", "cross", "box"):
    (folder / "png" / kind).mkdir(parents=True, exist_ok=True)
    for k in range(each):
        picture(kind).save(folder / "png" / kind / f"{k:03d}.png")


def sterna(*words: str) -> None:
    print(f"$ sterna {' '.join(words)}", flush=True)
    command = [sys.executable, "-m", "sterna.cli", *words]
    subprocess.run(command, cwd=folder, check=True)


# %% [markdown]
# ## A recipe, and what it trains
#
# `shapes/recipe.toml` is commented: change its layers, its T, its epochs.

# %%
sterna("new", "shapes", "--data", "folder:png")
sterna("train", "shapes", "-o", "runs/shapes", *options)

# %% [markdown]
# ## Integers

# %%
sterna("quantize", "runs/shapes", "-o", "build/shapes")
sterna("eval", "build/shapes")

# %% [markdown]
# ## Verilog for the board, and every spike compared

# %% tags=["hardware"]
sterna("fold", "build/shapes", "--board", "ulx3s-85f", "--fps", "1000")
sterna("build", "build/shapes")
sterna("sim", "build/shapes")

# %% [markdown]
# ## The board
#
# `sterna program` loads the bitstream; `sterna infer` then classifies pictures by it.

# %%
if bitstream:
    sterna("bitstream", "build/shapes", "--board", "ulx3s-85f")
    sterna("verify-bitstream", "build/shapes")
print("next: sterna bitstream build/shapes --board ulx3s-85f, then sterna program build/shapes")
print("and:  sterna infer build/shapes --file png/ring --port /dev/ttyUSB0")
