# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
# ---

# %% [markdown]
# # A SpikingJelly CSNN with batch norms and max pools, as Verilog
#
# The network of SpikingJelly's `conv_fashion_mnist` example, multi-step: convolution, batch norm,
# IF, max pool, twice, then two linear layers with IF neurons. The batch norms fold away.
#
# Needs spikingjelly. `python examples/front/csnn.py`, or `jupytext --to ipynb` of it in Jupyter.

# %%
from pathlib import Path

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.nn import functional as F

import sterna
from sterna.data import ImageSet

# %% tags=["parameters"]
data, side = "digits", 8  # or "fashion_mnist", 28
channels, steps, epochs, tuning = 16, 4, 20, 20
folder = Path("build/csnn")

# %% [markdown]
# ## The model, and its training

# %%


class CSNN(nn.Module):
    def __init__(self, channels: int, steps: int, side: int) -> None:
        super().__init__()
        self.steps = steps
        fire = lambda: neuron.IFNode(surrogate_function=surrogate.ATan())  # noqa: E731
        full = channels * (side // 4) ** 2
        self.conv_fc = nn.Sequential(
            layer.Conv2d(1, channels, kernel_size=3, padding=1, bias=False),
            layer.BatchNorm2d(channels),
            fire(),
            layer.MaxPool2d(2, 2),
            layer.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            layer.BatchNorm2d(channels),
            fire(),
            layer.MaxPool2d(2, 2),
            layer.Flatten(),
            layer.Linear(full, full, bias=False),
            fire(),
            layer.Linear(full, 10, bias=False),
            fire(),
        )
        functional.set_step_mode(self, step_mode="m")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rates [B,10] of images [B,1,H,W]."""
        x_seq = x.unsqueeze(0).repeat(self.steps, 1, 1, 1, 1)
        return self.conv_fc(x_seq).mean(0)


torch.manual_seed(0)
training, testing = ImageSet(data, "train"), ImageSet(data, "test")
model = CSNN(channels, steps, side)
adam = torch.optim.Adam(model.parameters(), lr=5e-3)
x, y = torch.as_tensor(training.images).float() / 255, torch.as_tensor(training.labels)
for _ in range(epochs):
    for chosen in torch.randperm(len(y)).split(64):
        loss = F.mse_loss(model(x[chosen]), F.one_hot(y[chosen], 10).float())
        adam.zero_grad()
        loss.backward()
        adam.step()
        functional.reset_net(model)
print(f"loss {loss.item():.4f}")

# %% [markdown]
# ## It comes in
#
# A verdict for each module, then each neuron against the model's own forward pass.

# %%
found = sterna.from_torch(model, x[:4])
print(found.report)
print(found.check(testing))

# %% [markdown]
# ## Ternary weights, tuned, in integers

# %%
run = sterna.train(found.calibrate(training), training, folder / "tuned", epochs=tuning)
network, _ = sterna.quantize(run, training)
print(f"{sterna.evaluate(network, testing).accuracy:.2%} in integers")

# %% [markdown]
# ## Verilog, and every spike compared

# %% tags=["hardware"]
build = sterna.build(network, folder / "build")
golden = sterna.run(network, testing.images[:20], trace="all")
verilog = sterna.simulate(build, testing.images[:20], trace="all")
sites = sum(s.size for s in verilog.spikes.values())
print(f"{sites:,} spikes of {build.folder.name}: {sterna.compare(golden, verilog) or 'all equal'}")
