"""Memory of devices: copies that nobody waits for, a loss computed in parts where memory is short, and the error when
even that does not fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from manifests.errors import first_line
from renderers.errors import OutOfMemory

__all__ = ["memory_errors", "microbatched", "send"]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy `tensor` from the CPU's memory to `device`, without waiting for what the device still has to do.

    A copy from pageable memory waits (CUDA's runtime API, "API synchronization behavior"), one from pinned memory does
    not. PyTorch keeps the pinned copy until the device has read it.
    """
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@contextmanager
def memory_errors(what: str, device: torch.device) -> Iterator[None]:
    """Turn a failed allocation into OutOfMemory, which says that `what` does not fit, and free what torch has cached.

    Raises:
        OutOfMemory: an allocation failed inside the context.
    """
    try:
        yield
        return
    except (MemoryError, RuntimeError) as error:
        # torch.OutOfMemoryError is CUDA's; PyTorch's allocator of CPU memory raises a RuntimeError with these words
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and "can't allocate memory" not in str(error):
            raise
        reason = first_line(error)
    # outside of the handler, since the error's traceback keeps the very tensors that must be freed
    if device.type == "cuda":
        torch.cuda.empty_cache()
    raise OutOfMemory(f"{what} does not fit into memory: {reason}")


def microbatched(whole: Tensor, size: int, loss: Callable[..., Tensor], *beside: Tensor) -> Tensor:
    """`loss(whole, *beside)`, a scalar, for a loss that is a mean over the first dimension of all of them, computed
    from `size` rows at a time: what one part needs for its gradient is freed before the next. Differentiable once, with
    respect to `whole` only."""
    leaf = whole.detach().requires_grad_(True)
    value = whole.new_zeros(())
    for part, *parts in zip(*(torch.split(tensor, size) for tensor in (leaf, *beside)), strict=True):
        term = loss(part, *parts) * (len(part) / len(whole))
        term.backward()
        value = value + term.detach()
    assert leaf.grad is not None
    linear = (whole * leaf.grad).sum()  # has the same gradient; its value is taken away again
    return value + linear - linear.detach()
