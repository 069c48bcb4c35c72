# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
# ---

# %% [markdown]
# # A SEW block, as Verilog
#
# Spike-element-wise residuals (SEW-ResNet): what a block's neurons fire is added to what came in,
# so that streams of whole numbers leave it. The addition is a merge of streams in hardware,
# exactly.
#
# Needs spikingjelly. `python examples/front/sew.py`, or `jupytext --to ipynb` of it in Jupyter.

# %%
from pathlib import Path

import torch
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn
from torch.nn import functional as F

import sterna
from sterna.data import ImageSet

# %% tags=["parameters"]
data, side = "digits", 8  # or "cifar10", 32 (and 3 colours)
colours, channels, steps, epochs, tuning = 1, 12, 4, 20, 20
folder = Path("build/sew")

# %% [markdown]
# ## The model, and its training

# %%


def conv_bn_if(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        layer.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        layer.BatchNorm2d(outputs),
        neuron.IFNode(surrogate_function=surrogate.ATan(), detach_reset=True),
    )


class SEWBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn_if(channels, channels), conv_bn_if(channels, channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x) + x  # ADD, of spikes


class SEWNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = conv_bn_if(colours, channels)
        self.block = SEWBlock(channels)
        self.pool = layer.MaxPool2d(2, 2)
        self.head = nn.Sequential(
            layer.Flatten(), layer.Linear(channels * (side // 2) ** 2, 10, bias=False)
        )
        functional.set_step_mode(self, step_mode="m")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Mean sums [B,10] of images [B,C,H,W]."""
        x_seq = x.unsqueeze(0).repeat(steps, 1, 1, 1, 1)
        return self.head(self.pool(self.block(self.stem(x_seq)))).mean(0)


torch.manual_seed(0)
training, testing = ImageSet(data, "train"), ImageSet(data, "test")
model = SEWNet()
adam = torch.optim.Adam(model.parameters(), lr=5e-3)
x, y = torch.as_tensor(training.images).float() / 255, torch.as_tensor(training.labels)
for _ in range(epochs):
    for chosen in torch.randperm(len(y)).split(64):
        loss = F.cross_entropy(model(x[chosen]), y[chosen])
        adam.zero_grad()
        loss.backward()
        adam.step()
        functional.reset_net(model)
print(f"loss {loss.item():.4f}")

# %% [markdown]
# ## It comes in
#
# The block becomes an addition of spikes; the last layer, without neurons, a sum over time.

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
