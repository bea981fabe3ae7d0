"""Several perceptors that draw together: whom a step asks, and how much the word of each counts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from renderers.models import Perceptor

__all__ = ["asked_at", "crops_of_share", "weighed"]


def asked_at(perceptors: Sequence[Perceptor], step: int, *, alternate: bool) -> tuple[int, ...]:
    """The numbers of those of `perceptors` that step number `step`, from 0, asks: all that have a weight, or one of
    them after the other if they `alternate` (eps696/aphantasia's `dualmod`)."""
    weighty = tuple(number for number, perceptor in enumerate(perceptors) if perceptor.weight)
    return (weighty[step % len(weighty)],) if alternate else weighty


def weighed(value: Tensor, perceptors: Sequence[Perceptor], which: int, *, alternate: bool = False) -> Tensor:
    """What `value`, of perceptor number `which`, adds to the mean over all of them, by their weights. If they
    `alternate`, it stands for the others, too: over as many steps as there are perceptors it comes to the same."""
    weights = [perceptor.weight for perceptor in perceptors]
    asked = sum(map(bool, weights)) if alternate else 1
    if all(weight == 1 for weight in weights):
        return value if asked == len(weights) else value / len(weights)
    return value * (weights[which] * asked / sum(weights))


def crops_of_share(number: int, perceptor: Perceptor) -> int:
    """How many of a step's `number` cutouts a perceptor is shown: its share of them, and one at least."""
    return max(1, round(perceptor.cutouts * number))
