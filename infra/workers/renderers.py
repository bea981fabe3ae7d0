"""How a worker comes by a renderer: the seam between workers and the models that they hold.

`LoadedModels` loads them. Whoever wants frames rendered otherwise, or something done before each of them, hands a
`RendererSource` of its own to `Worker`: the benchmark of scale gives one whose steps only sleep, the tests of failures
one that looks at every request first and fails chosen frames.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from infra.models.bringing import bring_model
from infra.workers.tasks import ModelLacking
from renderers.errors import ModelFilesBroken, UnknownModel
from renderers.registry import ModelEntry, Registry

if TYPE_CHECKING:  # torch is imported by the process that renders, not by the one that plans
    from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
    from renderers.hardware import Precision
    from renderers.models import Perceptor

__all__ = ["LoadedModels", "Renderer", "RendererSource", "entry_here"]


class Renderer(Protocol):
    """What a worker asks of a renderer; `FrameRenderer` is one."""

    def render_together(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        """Render frames, none of which needs another; gives for each, in order, the frame or its failure."""


class RendererSource(Protocol):
    """Gives the renderer of a model, by the model's name; called before every frame, by the thread that renders."""

    def __call__(self, model: str) -> Renderer: ...


class LoadedModels:
    """Loads a model when it is first asked for, and keeps it until another takes its place (both may not fit on a
    GPU)."""

    def __init__(
        self,
        registry: Registry | None = None,
        *,
        device: str = "auto",
        threads: int = 1,
        precision: Precision = "auto",
        graphs: bool = True,
        batch: int | None = None,
        source: str | None = None,
    ) -> None:
        """Without a `registry` there are only the package's own models. `device` to `graphs` are as for `load_models`.
        Up to `batch` frames go through the networks together (None: as many as pay on a GPU, one on a CPU). What was
        published in `source` comes from there into the registry's folder."""
        self._registry, self._source = registry or Registry(), source
        self._how: dict[str, Any] = {"device": device, "threads": threads, "precision": precision, "graphs": graphs}
        self._batch = batch
        self._renderer: FrameRenderer | None = None
        self._judges: tuple[ModelEntry, tuple[Perceptor, ...]] | None = None

    def __call__(self, model: str) -> FrameRenderer:
        """The renderer of `model`. Raises what `load_models` and `bring_model` raise."""
        from renderers.frame_rendering.renderer import FrameRenderer
        from renderers.models import load_models

        if self._source is not None and (self._renderer is None or self._renderer.models.entry.name != model):
            bring_model(self._registry, self._source, model)
        entry = entry_here(self._registry, model)
        # the whole entry: a model of that name may have been replaced since
        if self._renderer is None or self._renderer.models.entry != entry:
            self._renderer = self._judges = None
            models = load_models(entry, **self._how)
            self._renderer = FrameRenderer(
                models, self._batch or ("auto" if models.device.type == "cuda" else 1), judges=self._judges_of
            )
        return self._renderer

    def _judges_of(self, name: str) -> tuple[Perceptor, ...]:
        """The perceptors of the model called `name` that draw nothing of what the loaded one draws; they stay loaded
        beside it until a row names others. Raises ModelLacking where they are not there or not whole, and what else
        `load_judges` and `bring_model` raise."""
        from renderers.models import load_judges

        assert self._renderer is not None
        try:
            if self._source is not None and (self._judges is None or self._judges[0].name != name):
                bring_model(self._registry, self._source, name)
            entry = entry_here(self._registry, name)
            if self._judges is None or self._judges[0] != entry:
                self._judges = None
                found = load_judges(entry, self._renderer.models, precision=self._how["precision"])
                self._judges = entry, found
        except ModelFilesBroken as error:
            raise ModelLacking(str(error), socket.gethostname(), f"model '{name}'") from error
        return self._judges[1]


def entry_here(registry: Registry, model: str) -> ModelEntry:
    """Return the entry of a model that a job was planned with.

    Raises:
        ModelFilesBroken: this machine does not have it. The row is right: whoever planned it knows the model.
    """
    try:
        return registry.entry(model)
    except UnknownModel as error:
        raise ModelFilesBroken(
            f"model '{model}' is not in the models folder '{registry.folder}' here: share that folder among all "
            "machines, or publish the model (`nightreel models publish`) and set NIGHTREEL_MODELS_SOURCE"
        ) from error
