# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
# ---

# %% [markdown]
# # The NIR paper's cnn_sinabs.nir, as Verilog
#
# A convolutional network of IF neurons for N-MNIST, written by sinabs. Bring the file: it is
# among the data of the paper (Pedersen et al., Neuromorphic Intermediate Representation, 2024),
# not in here; and N-MNIST's recordings, unpacked to a folder of digits' folders.
#
# A NIR file says neither how long a step is nor how many there are. sinabs means a gain of 1 by r
# = 1, so `dt=1`; its recordings are binned to `steps` frames. Real weights are calibrated on the
# recordings.
#
# Needs `pip install 'sterna[nir]'`. `python examples/front/sinabs_nir.py`, or `jupytext --to
# ipynb` of it.

# %%
from pathlib import Path

import sterna
from sterna.data import ImageSet

# %% tags=["parameters"]
file = Path("cnn_sinabs.nir")
data = "folder:N-MNIST?size=34x34"
steps, tuning = 100, 3
folder = Path("build/sinabs")

# %% [markdown]
# ## It comes in
#
# Resets are to 0, as NIR defines them; the report says what NIR leaves open.

# %%
if not file.exists():
    raise SystemExit(f"{file}: is not here; bring it from the data of the NIR paper")
found = sterna.from_nir(file, dt=1, steps=steps, input="frames")
print(found.report)

# %% [markdown]
# ## Ternary weights, tuned, in integers

# %%
training, testing = (ImageSet(data, part, like=found.network) for part in ("train", "test"))
run = sterna.train(found.calibrate(training), training, folder / "tuned", epochs=tuning)
network, _ = sterna.quantize(run, training)
print(f"{sterna.evaluate(network, testing).accuracy:.2%} in integers")

# %% [markdown]
# ## Verilog, and every spike compared

# %% tags=["hardware"]
build = sterna.build(network, folder / "build")
frames = testing.images[:10].swapaxes(0, 1)  # [T,N,C,H,W]
golden = sterna.run(network, frames, trace="all")
verilog = sterna.simulate(build, frames, trace="all")
sites = sum(s.size for s in verilog.spikes.values())
print(f"{sites:,} spikes of {build.folder.name}: {sterna.compare(golden, verilog) or 'all equal'}")
