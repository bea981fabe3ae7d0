"""The fault proxy, with a tally of the frames that are put through it."""

from __future__ import annotations

import re
import threading
from collections import Counter

from aiohttp import web
from yarl import URL

from tests.helpers.fault_proxy import Fault, FaultPlan, FaultProxy

__all__ = ["CountingProxy"]

_FRAME = re.compile(r"/([^/]+/frames/[^/]+\.png)$")


class CountingProxy(FaultProxy):
    """Knows which frames were committed, how often each was rendered, and whether the server ever took one twice.

    A frame's rendering ends with one PUT whose answer arrives. One whose answer the proxy has lost is sent again, and
    counts then.
    """

    def __init__(self, target: str, plan: FaultPlan | None = None) -> None:
        super().__init__(target, plan)
        self._tally = threading.Lock()
        self._order: dict[str, None] = {}
        self.rendered: Counter[str] = Counter()
        """PUTs of a frame whose answer was passed on, by its key"""
        self.created: Counter[str] = Counter()
        """exclusive PUTs that the server has said yes to, their answers lost or not"""
        self.replaced: Counter[str] = Counter()
        """PUTs in the place of whatever was there"""

    @property
    def committed(self) -> list[str]:
        """The keys of all frames that the server has taken, the first ones first."""
        with self._tally:
            return list(self._order)

    def answered(self, request: web.BaseRequest, status: int, fault: Fault | None) -> None:
        found = _FRAME.search(URL(request.raw_path, encoded=True).path)
        if request.method != "PUT" or found is None:
            return
        key, exclusive = found[1], "If-None-Match" in request.headers
        with self._tally:
            if status == 200:
                self._order[key] = None
                self.created[key] += exclusive
            if status in (200, 412) and fault not in ("lost_answers", "truncations"):
                self.rendered[key] += 1
                self.replaced[key] += not exclusive
