"""Which runs of an output say what its manifests want today."""

from __future__ import annotations

from collections.abc import Sequence

from flows.runs.stored import StoredRun

__all__ = ["latest_of"]


def latest_of(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Return the latest run of each manifest, or of each of its parts, of `runs`, oldest first, in the same order.

    A manifest is rendered whole or in parts, by what its latest run did: the runs of its parts count as far as no other
    cut, and no run of the whole, has come since. A part that the manifest had when it was longer counts no more.
    """
    latest: dict[str, dict[int, StoredRun]] = {}
    cuts: dict[str, int] = {}
    for run in runs:
        manifest, most = run.record.manifest, run.record.videos_per_run
        if cuts.get(manifest) != most:
            latest[manifest], cuts[manifest] = {}, most
        latest[manifest][run.record.part] = run
        if many := run.record.parts:
            latest[manifest] = {part: it for part, it in latest[manifest].items() if part <= many}
    return sorted((run for parts in latest.values() for run in parts.values()), key=lambda run: run.record.run)
