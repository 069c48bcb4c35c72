# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
# ---

# %% [markdown]
# # Brevitas' TFC_1w1a, as Verilog
#
# FINN's fully connected network of binary weights and activations, 784-64-64-64-10, as Brevitas
# exports it to QONNX: one time step, in which an activation of -1 or 1 is a spike whose -1 goes
# into the bias behind it. Nothing is trained here: the weights are binary already.
#
# Needs `pip install 'sterna[qonnx]'`. Brevitas is needed for the export only, and asks for other
# versions of packages than Sterna is tested with: export in an environment of its own, and bring
# the file.
#
# `python examples/front/brevitas_tfc.py`, or `jupytext --to ipynb` of it in Jupyter.

# %%
from pathlib import Path

import numpy as np

import sterna
from sterna.data import ImageSet

# %% tags=["parameters"]
file = Path("tfc_1w1a.onnx")
data = "mnist"
pretrained = True  # Brevitas downloads the weights
folder = Path("build/tfc")

# %% [markdown]
# ## The export, where Brevitas is installed
#
# Elsewhere: `pip install brevitas onnxoptimizer`, these lines, and copy `tfc_1w1a.onnx` here.

# %%
if not file.exists():
    import torch

    try:
        from brevitas.export import export_qonnx
        from brevitas_examples.bnn_pynq.models import model_with_cfg
    except ImportError:
        raise SystemExit(f"{file}: is not here, and no Brevitas to export it; see above") from None
    model, _ = model_with_cfg("tfc_1w1a", pretrained=pretrained)
    export_qonnx(model.eval(), torch.rand(1, 1, 28, 28), export_path=str(file))

# %% [markdown]
# ## It comes in
#
# A verdict for each node, then each neuron and the classes against the graph, run by the qonnx
# package.

# %%
found = sterna.from_qonnx(file)
print(found.report)

# %%
testing = ImageSet(data, "test")
print(found.check(testing))

# %% [markdown]
# ## Integers
#
# The graph's own answers and those of the integers, of 200 images.

# %%
some = testing.images[:200]
network, _ = sterna.quantize(found, some)
own = found.replay(some).output.argmax(1)
print(f"{np.mean(sterna.run(network, some).classes == own):.2%} of the classes are the graph's")
print(f"{sterna.evaluate(network, testing).accuracy:.2%} of the test images")

# %% [markdown]
# ## Verilog, and every spike compared

# %% tags=["hardware"]
build = sterna.build(network, folder / "build")
golden = sterna.run(network, testing.images[:20], trace="all")
verilog = sterna.simulate(build, testing.images[:20], trace="all")
sites = sum(s.size for s in verilog.spikes.values())
print(f"{sites:,} spikes of {build.folder.name}: {sterna.compare(golden, verilog) or 'all equal'}")
