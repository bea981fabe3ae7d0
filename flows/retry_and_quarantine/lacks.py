"""What machines were found to lack: credentials, a model. Their workers get no work that needs it, and people hear of
each once, with host, worker and remedy. No clock and no pool here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.workers.tasks import ModelLacking, WorkerLacks

__all__ = ["Lacks", "lack_message"]


@dataclass
class Lacks:
    """By machine (`Pool.places`) what it lacks: a model, by its name, or storage. Forgotten after `seconds`, since
    somebody may have repaired it."""

    clock: Callable[[], float]
    seconds: float = 3600.0
    _until: dict[tuple[str, str | None], float] = field(default_factory=dict)

    def found(self, place: str, error: WorkerLacks, model: str) -> bool:
        """Note what `error`, met by work for `model`, says of a machine; return whether it is news."""
        lack = (place, model if isinstance(error, ModelLacking) else None)
        news = self._until.get(lack, float("-inf")) <= self.clock()
        self._until[lack] = self.clock() + self.seconds
        return news

    def workers(self, places: Mapping[str, str], model: str | None) -> frozenset[str]:
        """Return which workers, by their `places`, lack what work for `model` needs (None: anything)."""
        now, found = self.clock(), set[str]()
        for (place, lack), until in self._until.items():
            if until > now and (model is None or lack in (None, model)):
                found.add(place)
        return frozenset(worker for worker, place in places.items() if place in found)

    def forget(self, place: str) -> bool:
        """Forget what a machine lacked; return whether there was anything."""
        gone = [lack for lack in self._until if lack[0] == place]
        for lack in gone:
            del self._until[lack]
        return bool(gone)


def lack_message(error: WorkerLacks, worker: str, *, elsewhere: bool) -> str:
    """What to tell people, once for each machine."""
    where = "there, where its Ray node is started" if not isinstance(error, ModelLacking) else "there"
    goes = "its frames go to workers of other hosts" if elsewhere else "no worker of another host is left"
    return f"host '{error.host}' (worker {worker}) lacks {error.lacks}: {error}; repair it {where}. Until then {goes}"
