"""What the state of a cancelled run says: how far the run came.

Prefect's runner ends the process of a run that a person cancels, and then gives the run its last state itself, with its
own words over whatever the run had said [read in Prefect 3.8.8: `CancellationManager.cancel`]. So the run leaves its
words as a label, and the runner of `nightreel up` gives the state those.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun

__all__ = ["WORDS", "leave_words", "tell_by_runner"]

WORDS = "nightreel.cancelled"  # the label; empty for an attempt that has left none


def leave_words(message: str) -> None:
    """Have this process's flow run, which is being cancelled, end with `message`."""
    try:
        with get_client(sync_client=True) as client:
            client.update_flow_run_labels(UUID(runtime.flow_run.id), {WORDS: message})
    except Exception as error:  # a server that is being stopped too; the run ends as cancelled all the same
        logging.getLogger("nightreel").debug("how far a cancelled run came can't be left: %s", error)


def tell_by_runner() -> None:
    """Have every runner that this process begins give a cancelled run the words that it left.

    The class that is replaced is no public part of Prefect: where it has moved, Prefect's own words stand.
    """
    try:
        from prefect.runner import runner
        from prefect.runner._state_proposer import StateProposer
    except ImportError:
        return

    class Proposer(StateProposer):
        def __init__(self, *, client: PrefectClient) -> None:
            super().__init__(client=client)
            self._server = client

        async def propose_cancelled(self, flow_run: FlowRun, state_updates: dict[str, Any] | None = None) -> bool:
            updates = dict(state_updates or {})
            with suppress(Exception):  # the state matters more than its words
                if words := (await self._server.read_flow_run(flow_run.id)).labels.get(WORDS):
                    updates["message"] = words
            return await super().propose_cancelled(flow_run, updates)

    if hasattr(runner, "StateProposer"):
        runner.StateProposer = Proposer
