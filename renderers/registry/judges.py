"""Who may judge: the perceptors of one model that draw nothing of another's."""

from __future__ import annotations

from renderers.errors import BadInput
from renderers.registry.entry import ModelEntry, PerceptorEntry

__all__ = ["judges_of"]


def judges_of(judge: ModelEntry, drawing: ModelEntry) -> tuple[PerceptorEntry, ...]:
    """Return the perceptors of the model `judge` that are none of those by which `drawing` draws: a perceptor flatters
    what was drawn to please it.

    Raises:
        BadInput: there are none.
    """
    draw = set(map(_which, drawing.perceptors))
    found = tuple(it for it in judge.perceptors if _which(it) not in draw)
    if not found:
        raise BadInput(
            f"model '{judge.name}' can't judge what model '{drawing.name}' draws: they have the same perceptors; name "
            "another model, or none, and the frames' fit is measured instead of their likeness"
        )
    return found


def _which(perceptor: PerceptorEntry) -> tuple[str | None, ...]:
    """What tells a perceptor from others, wherever its files are."""
    if perceptor.sha256 is not None:
        return (perceptor.sha256,)
    return perceptor.architecture, perceptor.pretrained
