"""The convolutional network of snnTorch's tutorial 6, and its training in a plain loop.

    python examples/front/tutorial.py tutorial.safetensors      # 5,000 MNIST images, two epochs
    sterna import examples/front/tutorial.py:make_model --state tutorial.safetensors --steps 8 \
        --data mnist -o runs/tutorial
    sterna train --from runs/tutorial -o runs/tutorial_tuned
    sterna quantize runs/tutorial_tuned -o build/tutorial
    sterna sim build/tutorial --images 100

Needs snntorch. Nothing in it is made for Sterna. `tutorial_board.py` does all of this in Python, as
a notebook.
"""

import argparse

import snntorch as snn
import torch
from safetensors.torch import save_file
from snntorch import functional as sf
from snntorch import surrogate, utils
from torch import nn

STEPS = 8


def make_model() -> nn.Module:
    """12C5-MP2-24C5-MP2-FC10 of Leaky neurons, beta 0.5; one step a call."""
    return _network(12, 24, 5)


def make_larger() -> nn.Module:
    """The same with 32C3-MP2-64C3-MP2-FC10.

    Convolutions begin three times as large as PyTorch has them: of the smaller kernels a third
    would never bring a neuron to its threshold, and what never fires does not learn."""
    model = _network(32, 64, 3)
    with torch.no_grad():
        for module in model:
            if isinstance(module, nn.Conv2d):
                module.weight *= 3
    return model


def _network(first: int, second: int, kernel: int) -> nn.Module:
    spike = surrogate.fast_sigmoid(slope=25)
    leaky = {"beta": 0.5, "spike_grad": spike, "init_hidden": True}
    side = ((28 - kernel + 1) // 2 - kernel + 1) // 2
    return nn.Sequential(
        nn.Conv2d(1, first, kernel),
        nn.MaxPool2d(2),
        snn.Leaky(**leaky),
        nn.Conv2d(first, second, kernel),
        nn.MaxPool2d(2),
        snn.Leaky(**leaky),
        nn.Flatten(),
        nn.Linear(second * side * side, 10),
        snn.Leaky(**leaky, output=True),
    )


def forward(model: nn.Module, x: torch.Tensor, steps: int = STEPS) -> torch.Tensor:
    """Spikes [T,B,10] of images [B,1,28,28]."""
    utils.reset(model)
    return torch.stack([model(x)[0] for _ in range(steps)])


def train(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    epochs: int,
    steps: int = STEPS,
    rate: float = 1e-2,
    decay: bool = False,
) -> None:
    """A plain loop of Adam on the count of spikes; images are 0 .. 255. ``decay``: the rate falls
    to zero along a cosine."""
    loss_of = sf.ce_count_loss()
    adam = torch.optim.Adam(model.parameters(), lr=rate, betas=(0.9, 0.999))
    last = epochs * -(-len(labels) // 64)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, last)
    for epoch in range(epochs):
        for chosen in torch.randperm(len(labels)).split(64):
            spikes = forward(model, images[chosen].float() / 255, steps)
            loss = loss_of(spikes, labels[chosen].long())
            adam.zero_grad()
            loss.backward()
            adam.step()
            if decay:
                falling.step()
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}", flush=True)
    model.eval()


def accuracy(
    model: nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int = STEPS
) -> float:
    """The share of images that fire most in the right class."""
    right = 0
    with torch.no_grad():
        for x, y in zip(images.split(500), labels.split(500), strict=True):
            spikes = forward(model, x.float() / 255, steps)
            right += int((spikes.sum(0).argmax(1) == y).sum())
    return right / len(labels)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", help="where the weights go, .safetensors")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--rate", type=float, default=1e-2, help="of Adam")
    parser.add_argument("--decay", action="store_true", help="the rate falls along a cosine")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--larger", action="store_true", help="32C3-MP2-64C3-MP2-FC10")
    options = parser.parse_args()
    from sterna.train.data import datasets

    torch.manual_seed(options.seed)
    data = datasets.load("mnist")
    model = make_larger() if options.larger else make_model()
    images, labels = (torch.as_tensor(a[: options.images]) for a in data.train)
    train(model, images, labels, options.epochs, options.steps, options.rate, options.decay)
    test = [torch.as_tensor(a) for a in data.test]
    print(f"{accuracy(model, *test, options.steps):.2%} of the {len(test[1]):,} test images")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, options.out)


if __name__ == "__main__":
    main()
