"""The loop of every training: steps, curves, checkpoints, and a stop that loses nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from renderers.errors import Stopped, TrainingBroken
from renderers.training.run import TrainingProgress, TrainingRun
from renderers.training.workers import sum_over_workers, world_size

__all__ = ["Training", "train"]


MEASURED_EVERY = 10  # lines of the curves between two measurements


class _LoopSettings(Protocol):
    @property
    def steps(self) -> int: ...
    @property
    def lr(self) -> float: ...
    @property
    def log_every(self) -> int: ...
    @property
    def checkpoint_every(self) -> int: ...


class Training(Protocol):
    """What the loop drives."""

    @property
    def settings(self) -> _LoopSettings: ...

    def step(self, step: int) -> Mapping[str, Tensor]:
        """Do step number `step` (from 0); gives scalars for the curves, `loss` among them."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


def train(
    training: Training,
    run: TrainingRun,
    *,
    measure: Callable[[], Mapping[str, float]] | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Train to the end, or go on with what `run`'s folder holds. `measure` is asked before the
    first step, now and then, and at the end.

    Raises:
        TrainingBroken: the loss became non-finite, or the folder's checkpoint is of another model.
        Stopped: `should_stop` said so; the state is kept, and the next call goes on.
    """
    settings = training.settings
    first = 0
    state = run.load()
    if state is not None:
        try:
            training.load_state_dict(state)
        except (KeyError, RuntimeError, ValueError) as error:
            raise TrainingBroken(f"the checkpoint '{run.checkpoint}' is of another model: {error}") from error
        first = int(state["step"])
    elif measure is not None:
        run.log(0, _rounded(measure()))
    for step in range(first, settings.steps):
        if should_stop is not None and should_stop():
            run.save(step, training.state_dict())
            raise Stopped(
                f"training stopped before step {step + 1} of {settings.steps}; '{run.folder}' goes on from there"
            )
        terms = training.step(step)
        done = step + 1
        last = done == settings.steps
        logged, kept = done % settings.log_every == 0 or last, done % settings.checkpoint_every == 0 or last
        if logged or kept:
            metrics = _over_workers(terms)
            if not math.isfinite(metrics["loss"]):
                raise TrainingBroken(
                    f"the loss became {metrics['loss']} at step {done}: try a smaller learning rate (now "
                    f"{settings.lr:g}); the checkpoint in '{run.folder}' is from before"
                )
        if logged:
            if measure is not None and (done % (MEASURED_EVERY * settings.log_every) == 0 or last):
                metrics |= _rounded(measure())
            run.log(done, metrics)
        run.progress(done, settings.steps, on_progress)
        if kept:
            run.save(done, training.state_dict())
    run.draw()


def _rounded(values: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in values.items()}


def _over_workers(terms: Mapping[str, Tensor]) -> dict[str, float]:
    """The mean of every term over the workers, which thus agree on whether a loss is a number."""
    values = sum_over_workers(torch.stack([term.float() for term in terms.values()])) / world_size()
    return _rounded(dict(zip(terms, values.tolist(), strict=True)))
