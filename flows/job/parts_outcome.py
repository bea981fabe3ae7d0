"""How the parts of a manifest ended together, in numbers, in a sentence and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from flows.job.report_data import REPORT_PAGE, SUMMARY
from flows.job.stored_documents import DAMAGE, MOST_BYTES, parse
from flows.report.markdown import escape_markdown
from flows.runs.record import RunState
from flows.runs.stored import stored_runs
from flows.runs.summed import attempts_of
from infra.storage.storage import Storage, StorageError
from manifests.schema.texts import plural

__all__ = ["Ended", "PartsOutcome", "outcome_of_parts", "parts_markdown"]

# Runs of an output that are looked at for each part: its attempts, and other runs meanwhile.
RUNS_EACH = 5
NAMED = 3


@dataclass(frozen=True)
class Ended:
    """The flow run of a part as Prefect has it: the `state` that it ended in by name, and whether that is Completed."""

    flow_run: str
    part: int
    name: str
    state: str
    message: str
    complete: bool


@dataclass(frozen=True)
class PartsOutcome:
    """How all parts ended: the name of the state, what it says, and the parts in their order, each with where its last
    attempt stood (None where storage does not say)."""

    name: str
    message: str
    parts: tuple[tuple[Ended, RunState | None], ...] = field(default=())

    @property
    def complete(self) -> bool:
        """Whether every part is complete."""
        return self.name == "Completed"


def outcome_of_parts(output: str, parts: Sequence[Ended]) -> PartsOutcome:
    """Return how `parts` ended. Their numbers are what their runs have left in the output."""
    try:
        stored = stored_runs(Storage(output), latest=RUNS_EACH * len(parts))
    except StorageError:
        stored = ()
    attempts = {of_one[-1].record.flow_run: [it.state for it in of_one] for of_one in attempts_of(stored)}
    ends = [(part, attempts.get(part.flow_run, [None])[-1]) for part in parts]
    known = [state for _, state in ends if state is not None]
    frames, videos = sum(it.frames for it in known), sum(it.videos for it in known)
    missing = frames - sum(it.frames_done for it in known)
    rendered = sum(it.rendered for part in parts for it in attempts.get(part.flow_run, ()) if it is not None)
    did = f"{plural(rendered, 'frame')} rendered by this run"
    bad = [part for part in parts if not part.complete]
    if not bad:
        counts = f"{plural(frames, 'frame')}, {plural(videos, 'video')} in {plural(len(parts), 'part')}"
        return PartsOutcome("Completed", f"{counts}; {did}", tuple(ends))
    named = "; ".join(f"part {part.part}: {part.state} ({part.message})" for part in bad[:NAMED])
    more = f"; and {len(bad) - NAMED} more" if len(bad) > NAMED else ""
    counts = f"{missing}/{frames} frames missing; {len(bad)} of {plural(len(parts), 'part')} not complete"
    name = "FramesMissing" if missing else bad[0].state
    return PartsOutcome(name, f"{counts}: {named}{more}; {did}", tuple(ends))


def parts_markdown(output: str, end: PartsOutcome) -> str:
    """Return the summary for people: the sentence, where the report is, and a row for each part."""
    page = escape_markdown(Storage(output).uri(REPORT_PAGE))
    rows = "\n".join(
        f"| {part.part} | {escape_markdown(part.name)} | {part.state} | {_counts(state)} "
        f"| {escape_markdown(part.message)} |"
        for part, state in end.parts
    )
    return (
        f"{escape_markdown(end.message)}\n\nReport of all parts: {page}{_to_review(output)}\n\n"
        f"| part | run | ended | frames | videos | |\n|---|---|---|---|---|---|\n{rows}\n"
    )


def _to_review(output: str) -> str:
    """What the report, which the part that ended last has put, says of videos to review."""
    with suppress(StorageError, *DAMAGE):
        if many := int(parse(Storage(output).read(SUMMARY, most=MOST_BYTES)).get("to_review", 0)):
            return f"\n\n{plural(many, 'video')} to review"
    return ""


def _counts(state: RunState | None) -> str:
    if state is None:
        return "? | ?"
    return f"{state.frames_done:,} of {state.frames:,} | {state.videos_done:,} of {state.videos:,}"
