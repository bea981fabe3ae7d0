"""Networks laid out without their numbers: what a config describes, before anything of its size takes memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn as nn
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["give_numbers", "shapes_alone"]

_DRAWN = (torch.Tensor.normal_, torch.Tensor.uniform_)


class _Undrawn(TorchFunctionMode):
    """Leaves out the drawing of first weights. On the device `meta` nothing comes of it, and `normal_` there is written
    in Python: it imports PyTorch's compiler, two seconds and more of a worker's start (infra/docs/figures.md)."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init" or func in _DRAWN:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@contextmanager
def shapes_alone() -> Iterator[None]:
    """What is built in the block has shapes, on the device `meta`, and no numbers; see `give_numbers`."""
    with torch.device("meta"), _Undrawn():
        yield


def give_numbers(network: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Put copies of all of `state`, in the network's own types, into a `network` that has `shapes_alone`.

    Copies, since what a file's reader gives lies in memory as it lay in the file, and a matrix product may round
    otherwise where its numbers begin elsewhere. Not by `to_empty`: of shapes alone PyTorch makes empty tensors in
    Python, by a module that imports sympy.

    Raises:
        RuntimeError: keys or shapes are others than the network's.
    """
    own = network.state_dict()
    given = {key: value.to(own[key].dtype if key in own else value.dtype, copy=True) for key, value in state.items()}
    network.load_state_dict(given, assign=True)
