"""Workers that look at every frame before it is rendered, and fail those that a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from infra.storage.storage import Storage
from infra.workers.renderers import Renderer, RendererSource
from infra.workers.worker import Worker
from renderers.frame_rendering.renderer import FrameRequest, RenderedFrame

BeforeFrame = Callable[[FrameRequest], None]
"""called before each frame; what it raises is that frame's failure, and the others of its pass are rendered"""


def looking(before: BeforeFrame, worker: type[Worker] = Worker) -> Callable[..., Worker]:
    """For `LocalPool(make=...)`: workers that call `before`, in the thread that renders."""

    def make(output: Storage, renderers: RendererSource, **further: Any) -> Worker:
        return worker(output, lambda model: _Looking(renderers(model), before), **further)

    return make


class _Looking:
    def __init__(self, renderer: Renderer, before: BeforeFrame) -> None:
        self._renderer, self._before = renderer, before

    def render_together(self, requests: Sequence[FrameRequest]) -> list[RenderedFrame | Exception]:
        results: dict[int, RenderedFrame | Exception] = {}
        for number, request in enumerate(requests):
            try:
                self._before(request)
            except Exception as error:
                results[number] = error
        sound = [number for number in range(len(requests)) if number not in results]
        if sound:
            rendered = self._renderer.render_together([requests[number] for number in sound])
            results.update(zip(sound, rendered, strict=True))
        return [results[number] for number in range(len(requests))]
