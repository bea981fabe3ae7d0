"""What a chaos run must show: never a time, always what lies in storage and what is left over."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from infra.storage.storage import Storage
from tests.chaos.counting_proxy import CountingProxy

__all__ = ["ChaosResult", "compare", "count"]


@dataclass
class ChaosResult:
    """What a run has shown. `faults` are those that struck, `lost` to `left` must be empty."""

    seed: int
    planned: int
    frames: int = 0
    videos: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    storage_faults: int = 0
    requests: int = 0
    attempts: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    incomplete: str = ""
    damaged: int = 0
    repaired_by_jobs: int = 0
    repaired_by_doctor: int = 0
    rendered_twice: int = 0
    seconds: float = 0.0

    @property
    def struck(self) -> int:
        """How many faults struck, the storage's constant ones apart."""
        return sum(self.faults.values())

    @property
    def good(self) -> bool:
        """Whether every invariant holds."""
        return not (self.lost or self.doubled or self.differing or self.left or self.incomplete)


def compare(result: ChaosResult, wanted: Storage, got: Storage) -> None:
    """Every frame, segment and video of both, by key and bytes."""
    ours, theirs = (_what_counts(storage) for storage in (got, wanted))
    result.lost = sorted(theirs.keys() - ours.keys())
    result.doubled = sorted(ours.keys() - theirs.keys())
    result.differing = sorted(key for key in ours.keys() & theirs.keys() if ours[key] != theirs[key])


def _what_counts(storage: Storage) -> dict[str, bytes]:
    """All but what tells of the rendering itself: reports of frames with their seconds, failures."""
    keys = [info.key for info in storage.list()]
    records = ("/failures/", "/plans/")
    return {
        key: storage.read(key)
        for key in keys
        if not any(part in key for part in records) and not ("/segments/" in key and key.endswith(".json"))
    }


def count(result: ChaosResult, proxy: CountingProxy, taken_away: Counter[str]) -> None:
    """What the proxy has seen: no frame was created twice; how many were rendered twice for nothing."""
    result.storage_faults, result.requests = proxy.faults, proxy.counts["requests"]
    result.doubled += [key for key, times in proxy.created.items() if times > 1 + taken_away[key]]
    result.repaired_by_jobs = proxy.replaced.total()
    again = proxy.replaced + taken_away
    result.rendered_twice = sum(max(0, times - 1 - again[key]) for key, times in proxy.rendered.items())
