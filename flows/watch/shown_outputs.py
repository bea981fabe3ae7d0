"""The outputs that somebody looks at, opened once each and kept while they are looked at."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from fastapi import HTTPException

from flows.watch.grid import VideoGrid, read_grid
from flows.watch.outputs import Outputs
from flows.watch.pictures import Thumbnails
from flows.watch.reading import OutputReader
from infra.storage.storage import Storage
from renderers.registry import Registry

__all__ = ["ShownOutput", "ShownOutputs"]

READERS = 16  # outputs whose documents are kept in memory
GRIDS = 8
GRID_SECONDS = 3.0


@dataclass
class ShownOutput:
    """One output as it is shown."""

    storage: Storage
    reader: OutputReader
    thumbnails: Thumbnails
    grids: OrderedDict[str, tuple[float, VideoGrid | None]]


class ShownOutputs:
    """The outputs that were looked at, opened once each."""

    def __init__(self, outputs: Outputs, registry: Registry) -> None:
        self._outputs, self.registry = outputs, registry
        self._open: OrderedDict[str, ShownOutput] = OrderedDict()
        self._lock = threading.Lock()

    def names(self) -> Mapping[str, str]:
        """Return the addresses of all outputs, by the names that links have for them."""
        return self._outputs.all()

    def storage(self, name: str) -> Storage:
        """Open an output for one look, without keeping it: the list of all may name hundreds."""
        with self._lock:
            if name in self._open:
                return self._open[name].storage
        return Storage(self._root(name))

    def _root(self, name: str) -> str:
        root = self._outputs.all().get(name)
        if root is None:
            raise HTTPException(404, "no such output")
        return root

    def get(self, name: str) -> ShownOutput:
        """Return an output, which stays open for a while.

        Raises:
            HTTPException: nobody knows it.
        """
        root = self._root(name)
        with self._lock:
            if name not in self._open:
                storage = Storage(root)
                self._open[name] = ShownOutput(
                    storage, OutputReader(storage, self.registry), Thumbnails(storage), OrderedDict()
                )
            self._open.move_to_end(name)
            while len(self._open) > READERS:
                self._open.popitem(last=False)
            return self._open[name]

    def grid(self, name: str, video: str, now: float) -> VideoGrid:
        """Return the grid of a video, read again after some seconds.

        Raises:
            HTTPException: nobody knows the output, or nothing of the video lies in it.
        """
        output = self.get(name)
        with self._lock:
            read_at, grid = output.grids.get(video, (float("-inf"), None))
        if now - read_at > GRID_SECONDS:
            grid = read_grid(output.storage, video, self.registry)
            with self._lock:
                output.grids[video] = (now, grid)
                output.grids.move_to_end(video)
                while len(output.grids) > GRIDS:
                    output.grids.popitem(last=False)
        if grid is None:
            raise HTTPException(404, "nothing of this video lies in the output yet")
        return grid
