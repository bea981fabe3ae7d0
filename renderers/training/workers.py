"""Averages over the workers of a training, whoever started them (Ray Train, torchrun); alone, they change nothing.

Gradients are averaged here by hand rather than by DistributedDataParallel: the models are called through their own
methods (`encode`, `decode`), which its wrapper does not see, and the codebook's counts need the same sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.distributed as dist
from torch import Tensor

__all__ = ["agree", "average_gradients", "broadcast", "rank", "sum_over_workers", "use_threads", "world_size"]


def world_size() -> int:
    """How many workers train together; 1 for a process by itself."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if world_size() > 1 else 0


def sum_over_workers(tensor: Tensor) -> Tensor:
    """The sum of every worker's `tensor`, in place, the same on all."""
    if world_size() > 1:
        dist.all_reduce(tensor)
    return tensor


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace every gradient by its mean over the workers, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = torch.cat([g.reshape(-1) for g in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()


def broadcast(tensor: Tensor) -> Tensor:
    """The first worker's `tensor`, in place."""
    if world_size() > 1:
        dist.broadcast(tensor, src=0)
    return tensor


def use_threads(threads: int) -> None:
    """Compute with so many CPU threads in this process."""
    torch.set_num_threads(threads)


def agree(do: Callable[[], object]) -> None:
    """Do what each worker does for itself before they begin together. Where it fails for one, all of them raise what
    the first of these raised: they would wait for it for ever."""
    failed: Exception | None = None
    try:
        do()
    except Exception as error:
        failed = error
    if world_size() > 1:
        told: list[Exception | None] = [None] * world_size()
        dist.all_gather_object(told, failed)
        failed = next((error for error in told if error is not None), None)
    if failed is not None:
        raise failed
