"""A network's forward and backward as CUDA graphs: hundreds of small kernels started at once instead of one by one.

A step of a VQGAN and a ViT at 512x512 is some thousand kernels of a few microseconds each, and Python starts them no
faster than the GPU runs them. Shapes don't change between steps, so each is recorded once and played again.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from manifests.errors import first_line

__all__ = ["Graphed", "record"]

log = logging.getLogger(__name__)

Function = Callable[[Tensor], Tensor]


def record(function: Function, like: Tensor) -> Function:
    """`function` with its gradient as CUDA graphs, for tensors like `like`. Its results lie in one place, and the next
    call overwrites them."""
    sample = torch.empty_like(like).copy_(like.detach()).requires_grad_(True)
    return cast(Function, torch.cuda.make_graphed_callables(function, (sample,)))


@dataclass
class _Recorded:
    function: Function
    calls: int = 0


class Graphed:
    """`function`, a pure function of one tensor, played from recordings where a gradient is wanted on a GPU.

    Elsewhere, and where recording fails or plays something else than `function` gives, it is `function` itself. At most
    `shapes` recordings are kept, the latest used: each holds what its gradient needs. A result must have been
    differentiated before the next call of the same shape (that overwrites it); otherwise differentiating it raises.
    """

    def __init__(
        self,
        function: Function,
        *,
        shapes: int = 4,
        device: str = "cuda",
        recorder: Callable[[Function, Tensor], Function] = record,
    ) -> None:
        self._function, self._shapes, self._device, self._recorder = function, shapes, device, recorder
        self._recorded: OrderedDict[tuple[object, ...], _Recorded] = OrderedDict()
        self._off = False

    def __call__(self, x: Tensor) -> Tensor:
        """`function(x)`.

        Raises:
            RuntimeError: in the backward pass of a result that a later call has overwritten.
        """
        if self._off or x.device.type != self._device or not (torch.is_grad_enabled() and x.requires_grad):
            return self._function(x)
        key = (x.shape, x.stride(), x.dtype, x.device)
        recorded = self._recorded.get(key) or self._add(key, x)
        if recorded is None:
            return self._function(x)
        self._recorded.move_to_end(key)
        return _play(recorded, x)

    def _add(self, key: tuple[object, ...], x: Tensor) -> _Recorded | None:
        while len(self._recorded) >= self._shapes:
            self._recorded.popitem(last=False)
        try:
            recorded = _Recorded(self._recorder(self._function, x))
            self._check(recorded, x)
        # capture fails in many ways (a library that synchronises, memory, a driver), and none of them is the frame's
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = first_line(error)
            log.warning("no CUDA graphs, kernels are started one by one, which is slower: %s", reason)
            self._off = True
            self._recorded.clear()
            return None
        self._recorded[key] = recorded
        return recorded

    def _check(self, recorded: _Recorded, x: Tensor) -> None:
        """Play it once, and compare: a recording that went wrong gives numbers all the same."""
        results = []
        for function in (self._function, lambda leaf: _play(recorded, leaf)):
            leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_(True)
            out = function(leaf)
            (gradient,) = torch.autograd.grad(out, leaf, torch.ones_like(out))
            results.append((out.detach().float().clone(), gradient.float().clone()))
        for plain, played in zip(*results, strict=True):
            off = float((plain - played).norm() / plain.norm().clamp(min=1e-12))
            if not off < 0.02:  # bfloat16 rounds at 0.4 %; another choice of kernels rounds otherwise
                raise RuntimeError(f"a recording plays something else, off by {off:.1%}")


def _play(recorded: _Recorded, x: Tensor) -> Tensor:
    recorded.calls += 1
    call, out = recorded.calls, recorded.function(x)

    def check_not_overwritten(_: Tensor) -> None:
        if recorded.calls != call:
            raise RuntimeError("a recorded network was called again before the gradient of its last result was taken")

    out.register_hook(check_not_overwritten)
    return out
