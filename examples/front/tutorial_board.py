# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
# ---

# %% [markdown]
# # snnTorch's tutorial network, from training to a simulated board
#
# `tutorial.py` has the convolutional network of snnTorch's tutorial 6 and a plain training loop,
# with nothing made for Sterna. Here it is trained, imported, made ternary, tuned, turned into
# Verilog, and the Verilog is simulated: first by itself, then as a whole board behind a serial
# port.
#
# Needs snntorch. `python examples/front/tutorial_board.py`, or `jupytext --to ipynb` of it in
# Jupyter.

# %%
import json
import subprocess
import sys
from pathlib import Path

import torch
from tutorial import STEPS, accuracy, make_model, train

import sterna
from sterna.data import ImageSet

# %% tags=["parameters"]
data = "mnist"  # or "folder:PATH", "FILE.npz" of images of 28 x 28
images, epochs, tuning = 5000, 2, 2
folder = Path("build/tutorial")

# %% [markdown]
# ## A model as everybody trains it

# %%
torch.manual_seed(0)
training, testing = ImageSet(data, "train"), ImageSet(data, "test")
x, y = training.images[:images], training.labels[:images]
model = make_model()
train(model, torch.as_tensor(x), torch.as_tensor(y), epochs)
share = accuracy(model, torch.as_tensor(testing.images), torch.as_tensor(testing.labels))
print(f"{share:.2%} of the {len(testing.labels):,} test images")

# %% [markdown]
# ## It comes in
#
# A verdict for each module, then each neuron against the model's own forward pass.

# %%
example = torch.as_tensor(x[:4]).float() / 255
found = sterna.from_torch(model, example, steps=STEPS)
print(found.report)

# %%
print(found.check(testing))

# %% [markdown]
# ## Ternary weights, tuned
#
# `calibrate` needs no labels; training goes on from the real weights.

# %%
ternary = found.calibrate((x, y))
run = sterna.train(ternary, (x, y), folder / "tuned", epochs=tuning)
network, _ = sterna.quantize(run, x)
print(f"{sterna.evaluate(network, testing).accuracy:.2%} in integers")

# %% [markdown]
# ## Verilog, and every spike compared

# %% tags=["hardware"]
build = sterna.build(network, folder / "build")
golden = sterna.run(network, testing.images[:20], trace="all")
verilog = sterna.simulate(build, testing.images[:20], trace="all")
sites = sum(s.size for s in verilog.spikes.values())
print(f"{sites:,} spikes of {build.folder.name}: {sterna.compare(golden, verilog) or 'all equal'}")

# %% [markdown]
# ## A whole board, simulated
#
# `sterna board-sim` runs the board's design behind a serial port. Real ones take the same calls:
# `sterna bitstream BUILD --board ulx3s-85f`, `sterna program BUILD`, then `sterna.Board(PORT)`.

# %% tags=["hardware"]
command = [sys.executable, "-m", "sterna.cli", "board-sim", str(build.folder), "--json"]
with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as simulated:
    try:
        port = json.loads(simulated.stdout.readline())["port"]
        with sterna.Board(port, build=build.folder) as board:
            answered = board.infer(testing.images[:20])
    finally:
        simulated.terminate()
equal = (answered.logits == golden.logits).all()
print(f"the board's logits of 20 images: {'all equal' if equal else 'DIFFERENT'}")
