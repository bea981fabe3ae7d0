"""The result of a chaos run for people: infra/docs/chaos.md."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

from tests.chaos.result import ChaosResult

__all__ = ["markdown"]


def markdown(result: ChaosResult, when: datetime | None = None) -> str:
    """The whole file."""
    struck = result.struck
    short = "" if struck == result.planned else f" ({result.planned} were planned)"
    rows = [
        ("date", f"{when or datetime.now(UTC):%Y-%m-%d}"),
        ("machine", f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"),
        ("seed", result.seed),
        ("frames, videos", f"{result.frames}, {result.videos}"),
        ("faults struck", f"{struck}{short}"),
        *((f"- {kind}", times) for kind, times in sorted(result.faults.items())),
        ("requests to storage that failed besides", f"{result.storage_faults} of {result.requests}"),
        ("processes that the job took", result.attempts),
        ("frames, segments or videos lost", len(result.lost)),
        ("doubled", len(result.doubled)),
        ("differing from the undisturbed run", len(result.differing)),
        ("resources, actors or processes left", len(result.left)),
        ("damaged frames rendered again by the job", result.repaired_by_jobs),
        ("damaged frames that only the doctor found", result.repaired_by_doctor),
        ("frames rendered twice for nothing", result.rendered_twice),
        ("failures recorded by jobs that came to an end", ", ".join(f"{k} {n}" for k, n in result.failures.items())),
        ("seconds", f"{result.seconds:.0f}"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows)
    verdict = "Nothing was lost." if result.good else "**An invariant is broken.**"
    broken = [*result.lost, *result.doubled, *result.differing, *result.left, result.incomplete]
    lines = "".join(f"\n- {line}" for line in broken[:40] if line)
    return (
        f"""# Chaos: the last result

{verdict} Written by `make chaos`, which renders a job undisturbed and then again on two Ray nodes while a seeded killer
ends actors, nodes, the job's process and the cluster's fair-share actor, damages frames in storage, and a proxy in
front of a real S3 server fails 2 % of all requests, 30 % in a burst. The job is started again until it is complete, and
`nightreel doctor` looks for damage at the end. See tests/chaos.

| | |
|---|---|
{table}
{lines}
""".rstrip()
        + "\n"
    )
