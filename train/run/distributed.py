"""Training by several processes, each with a GPU or a core of its own, as torchrun starts them.

    torchrun --nproc-per-node 2 -m sterna.cli train RECIPE -o RUN

Every process draws the same batch and the same augmentation, takes its share of the images, and
after the averaging of gradients makes the same step, so that all hold the same network at any
time. Batch norms take the statistics of a process's own share (as usual); their running statistics
are averaged after each step. Only the process of rank 0 writes and prints. The run folder must be
one that all processes see; a run may go on with another number of them.
"""

import importlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from sterna.golden.errors import UsageError
from sterna.train.module.frames import pick

__all__ = ["Group", "join"]


@dataclass(frozen=True)
class Group:
    """The processes that train one network: this one's ``rank`` of ``size``, and its ``device``.
    A group of one does nothing at all."""

    rank: int
    size: int
    device: torch.device

    def share(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """This process's part of a batch ([B,C,H,W], recordings [T,B,C,H,W]): each size-th."""
        own = slice(self.rank, None, self.size)
        return pick(images, own), labels[own]

    def check(self, where: str, batches: Iterable[int]) -> None:
        """UsageError where a batch cannot be shared evenly."""
        for batch in batches:
            if batch % self.size:
                raise UsageError(
                    f"{where}: a batch of {batch} cannot be shared by {self.size} processes; "
                    "choose a multiple"
                )

    def decide(self, flag: bool) -> bool:
        """Rank 0's flag, in all processes."""
        if self.size == 1:
            return flag
        word = torch.tensor(float(flag), device=self.device)
        distributed.broadcast(word, 0)
        return bool(word)

    def adopt(self, numbers: Mapping[str, int]) -> dict[str, int]:
        """Rank 0's numbers under the same names, in all processes."""
        if self.size == 1:
            return dict(numbers)
        row = torch.tensor(list(numbers.values()), device=self.device)
        distributed.broadcast(row, 0)
        return dict(zip(numbers, map(int, row.tolist()), strict=True))

    def average(self, tensors: list[Tensor]) -> None:
        """Each tensor replaced by its mean over all processes, in one message."""
        if self.size == 1:
            return
        flat = torch.cat([t.detach().reshape(-1).float() for t in tensors])
        distributed.all_reduce(flat)
        flat /= self.size
        start = 0
        with torch.no_grad():
            for t in tensors:
                t.copy_(flat[start : start + t.numel()].view(t.shape))
                start += t.numel()

    def average_gradients(self, parameters: Iterable[Tensor], loss: Tensor) -> Tensor:
        """Gradients of the mean loss of all processes in place of this one's, and that loss."""
        loss = loss.detach().clone()
        self.average([*(p.grad for p in parameters if p.grad is not None), loss])
        return loss

    def average_statistics(self, module: nn.Module) -> None:
        """Running statistics of batch norms, averaged."""
        self.average([b for n, b in module.named_buffers() if n.endswith(("__mean", "__var"))])

    def leave(self) -> None:
        """End the group; the last thing a process does with it."""
        if self.size > 1:
            distributed.destroy_process_group()


def join() -> Group:
    """The group that torchrun's environment names (gloo, or NCCL where there are GPUs), else this
    process alone. UsageError where the environment is incomplete or there are too few GPUs."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = torch.cuda.is_available()
    if size == 1:
        return Group(0, 1, torch.device("cuda" if cuda else "cpu"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if cuda and local >= torch.cuda.device_count():
        raise UsageError(
            f"process {local} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; start as many processes as there are GPUs"
        )
    if missing := {"RANK", "MASTER_ADDR", "MASTER_PORT"} - set(os.environ):
        raise UsageError(
            f"WORLD_SIZE is {size} but {', '.join(sorted(missing))} is not set; start with torchrun"
        )
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    # Its functions have the group of the moment of its import as a default, and optimisers import
    # it: kept so, the group's threads would outlive it and end the interpreter with an abort.
    importlib.import_module("torch.distributed.nn.functional")
    distributed.init_process_group("nccl" if cuda else "gloo")
    return Group(distributed.get_rank(), size, device)
