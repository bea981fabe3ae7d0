"""What follows from a failure: whether a frame is tried again, when, where and how; which workers are quarantined; when
a job gives up. Decisions only: nothing here renders, waits, looks at a clock or touches storage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from infra.backoff import Backoff
from infra.settings import InfraSettings
from infra.workers.tasks import WorkerProgress
from manifests.errors import ErrorKind

__all__ = ["Attempt", "Budget", "Decision", "StallWatch", "WorkerRecords", "decide", "excluded"]

BACKOFF = Backoff(first=0.5, longest=10.0)
DISTINCT_WORKERS = 2  # that must have failed a frame before the frame is to blame
# Failures for which the frame itself may be to blame.
_FRAMES_OWN = (ErrorKind.APPLICATION, ErrorKind.STALLED, ErrorKind.NON_FINITE)


@dataclass(frozen=True)
class Attempt:
    """One try of some work that failed, in the way of `kind`, on `worker`."""

    kind: ErrorKind
    worker: str


@dataclass(frozen=True)
class Decision:
    """Whether to try `again`, after `wait` seconds, on a worker not among `avoid` where there is another; with
    `cutouts_at_once` through the perceptor (None: all), `reseeded` or not."""

    again: bool
    wait: float = 0.0
    avoid: frozenset[str] = frozenset()
    cutouts_at_once: int | None = None
    reseeded: bool = False


def decide(
    failures: Sequence[Attempt], settings: InfraSettings, *, workers: int, cutouts: int, chance: float = 0.5,
    elsewhere: bool = False,
) -> Decision:  # fmt: skip
    """What to do after `failures` of one frame, the latest last.

    `workers` is how many are fit to work, `cutouts` how many the frame has a step, `chance` a random number in [0, 1)
    that spreads the waits of many (see `Backoff`). `elsewhere`: the machine lacked something, and there are workers on
    machines of which that is not known.
    """
    last = failures[-1].kind
    counts: dict[ErrorKind, int] = {}
    for failure in failures:
        counts[failure.kind] = counts.get(failure.kind, 0) + 1
    # halved each time; a batch of one can't be halved, and the frame itself is too large then.
    halvings = counts.get(ErrorKind.OUT_OF_MEMORY, 0)
    at_once = max(1, cutouts >> halvings) if halvings else None
    hopeless = halvings > max(1, cutouts).bit_length() - 1
    non_finite = counts.get(ErrorKind.NON_FINITE, 0)
    own = counts.get(ErrorKind.APPLICATION, 0) + counts.get(ErrorKind.STALLED, 0) + max(0, non_finite - 1)
    blamed_by = {failure.worker for failure in failures if failure.kind in _FRAMES_OWN}
    tried_enough = own >= settings.attempts and len(blamed_by) >= min(DISTINCT_WORKERS, workers)
    again = {
        ErrorKind.APPLICATION: not tried_enough,
        ErrorKind.STALLED: not tried_enough,
        # the same numbers would come out anywhere: another seed, once.
        ErrorKind.NON_FINITE: non_finite < 2,
        ErrorKind.OUT_OF_MEMORY: not hopeless,
        ErrorKind.INFRASTRUCTURE: counts.get(ErrorKind.INFRASTRUCTURE, 0) < settings.lost_worker_attempts,
        # full, not permitted: a person must repair it, and each try renders the frame once more
        ErrorKind.STORAGE: elsewhere or counts.get(ErrorKind.STORAGE, 0) < settings.attempts,
        ErrorKind.CORRUPT: False,  # what can't be read must be rendered again first
        ErrorKind.BAD_INPUT: False,
        ErrorKind.ENVIRONMENT: elsewhere,  # a machine's models that are missing or damaged stay so until repaired
        ErrorKind.CANCELLED: False,
    }[last]
    waits = again and not elsewhere and last in (ErrorKind.INFRASTRUCTURE, ErrorKind.STORAGE)
    wait = BACKOFF.seconds(counts[last], chance) if waits else 0.0
    return Decision(again, wait, frozenset(blamed_by), at_once, non_finite > 0)


def excluded(
    workers: Iterable[str], quarantined: frozenset[str], avoid: frozenset[str], lacking: frozenset[str] = frozenset()
) -> frozenset[str]:
    """Return which of `workers` a frame must not go to: never all of them. Those `lacking` something that it needs are
    the last resort, those `quarantined` the one before, those to `avoid` the first."""
    everyone = frozenset(workers)
    able = everyone - lacking or everyone
    fit = able - quarantined or able
    return everyone - (fit - avoid or fit)


@dataclass
class WorkerRecords:
    """Which workers fail what others can do: one that failed `limit` different frames is quarantined for
    `seconds`.

    A frame counts against a worker only once another worker has rendered it: a poisoned row fails everywhere, and would
    otherwise take one worker after the other with it.
    """

    clock: Callable[[], float]
    limit: int = 3
    seconds: float = 3600.0
    _failed: dict[tuple[str, int | None], set[str]] = field(default_factory=dict)
    _against: dict[str, set[tuple[str, int | None]]] = field(default_factory=dict)
    _quarantined_until: dict[str, float] = field(default_factory=dict)

    def failed(self, worker: str, video: str, frame: int | None) -> None:
        """Note that `worker` failed a frame (None: a segment of the video); its machine may be the reason, or not."""
        self._failed.setdefault((video, frame), set()).add(worker)

    def rendered(self, worker: str, video: str, frame: int | None) -> set[str]:
        """Note that `worker` did a frame. Return those who are quarantined now for having failed it."""
        newly = set()
        for other in self._failed.pop((video, frame), set()) - {worker}:
            against = self._against.setdefault(other, set())
            against.add((video, frame))
            if len(against) >= self.limit:
                self._quarantined_until[other] = self.clock() + self.seconds
                del self._against[other]
                newly.add(other)
        return newly

    def forgive(self, worker: str) -> bool:
        """Forget what counts against `worker`; return whether it was quarantined."""
        self._against.pop(worker, None)
        for failed in self._failed.values():
            failed.discard(worker)
        return worker in self.quarantined() and self._quarantined_until.pop(worker, None) is not None

    def quarantined(self) -> frozenset[str]:
        """Return who is quarantined at this moment."""
        now = self.clock()
        self._quarantined_until = {worker: until for worker, until in self._quarantined_until.items() if until > now}
        return frozenset(self._quarantined_until)


@dataclass
class StallWatch:
    """Finds workers that render, or load a model, and do not get on: no step within `seconds`. One that stopped
    answering in the middle of a frame does not get on either."""

    seconds: float
    _since: dict[str, tuple[tuple[str, int, int], float]] = field(default_factory=dict)

    def stalled(self, now: float, progress: Iterable[WorkerProgress]) -> list[str]:
        """Look at `progress` at the time `now` (seconds of any clock); return each stalled worker once."""
        for worker in progress:
            at = (worker.video_id, worker.frame, worker.step)
            if not (worker.busy or worker.loading):  # a frame waits for the model that is loaded in advance
                self._since.pop(worker.worker, None)
            elif self._since.get(worker.worker, (None,))[0] != at:
                self._since[worker.worker] = (at, now)
        late = [name for name, (_, since) in self._since.items() if now - since > self.seconds]
        for name in late:
            del self._since[name]
        return late


@dataclass
class Budget:
    """How many of a job's `frames` may fail for good before the job gives up: a `share` of them, at least `least`."""

    frames: int
    share: float
    least: int = 20

    @property
    def allowed(self) -> int:
        """Frames that may fail for good."""
        return max(self.least, int(self.frames * self.share))

    def spent(self, failed: int) -> bool:
        """Whether `failed` frames are more than that."""
        return failed > self.allowed
