"""`nightreel render`: the main job, run to its end, with progress bars."""

from __future__ import annotations

import sys
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.text import Text

from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT, INCOMPLETE
from flows.cli.options import with_help
from flows.cli.output import Words, damage_lines, duration, fit, print_json, problems, row_lines, say, stderr, waiting
from flows.job.job import JobProgress, RenderJob
from flows.job.outcome import JobCounts
from flows.job.parameters import RenderParameters
from flows.job.report_data import REPORT_PAGE
from flows.job.reviewed_again import review_again
from flows.local.own_server import begin_server, prefect_server
from flows.orchestration.forms.addresses import refuse_secrets
from flows.orchestration.forms.fields import Force, Manifest, Output, Priority, RangeFrames, Strict
from flows.orchestration.handover import handing_over, start_pool
from flows.report.wording import first_of
from infra.environment import prefect_api_url, prepare_prefect
from infra.settings import InfraSettings, load_settings
from manifests.problems import LISTED
from manifests.schema.texts import plural

__all__ = ["conclude", "render", "run_flow", "watching"]

# How the flow names its end when something is missing; anything else is a flow that broke.
INCOMPLETE_STATES = ("FramesMissing", "VideosMissing", "RowsInvalid", "TooManyFailures", "Cancelled")


@with_help
def render(
    manifest: Manifest,
    *,
    output: Annotated[Output, Parameter(name=["--output", "-o"])],
    actors: Annotated[
        int | None,
        Parameter(validator=Number(gte=1), help="actors to render with; unset: what the cluster has room for"),
    ] = None,
    range_frames: RangeFrames = None,
    priority: Priority = 0,
    strict: Annotated[Strict, Parameter(negative="")] = False,
    force: Annotated[Force, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bars")] = False,
) -> int:
    """Render a manifest into videos. Example: nightreel render night.parquet --output s3://bucket/night

    Runs the flow `render-manifest` to its end, on the server that PREFECT_API_URL names, or on one of its own. What is
    in storage already is not rendered again. A manifest of more than NIGHTREEL_VIDEOS_PER_RUN videos is rendered in
    parts, a run each, one after the other. Exit code 0 only if every frame and every video is there.
    """
    refuse_secrets(manifest=manifest, output=output)
    settings = load_settings()
    if actors is not None:
        settings = settings.model_copy(update={"actors": actors})
    parameters = RenderParameters(manifest, output, strict, force, range_frames, priority).in_full()
    with waiting("planning"):
        many = RenderJob(parameters, settings).parts(settings.videos_per_run)
    if many > 1:
        return _render_in_parts(parameters, settings, many, json, manifest)
    ended = _render(parameters, settings, json, manifest)
    if json and ended.result is not None:
        print_json(ended.result)
    return ended.code


class Ended(NamedTuple):
    """How a job ended: the exit code, and what a script is told, None where nothing could be rendered; and whether it
    was ended before its time, so that no other part is begun."""

    code: int
    result: dict[str, Any] | None
    early: bool = False


def _render(parameters: RenderParameters, settings: InfraSettings, json: bool, manifest: str) -> Ended:
    """Render a manifest, or a part of it, as a person has named it; what is wrong with its rows is said with the first
    part."""
    job = RenderJob(parameters, settings)
    with waiting("planning"):
        job.read()
    bad = row_lines(job, problems=parameters.part in (None, 1))
    problems(bad)
    problems(damage_lines(job))
    problems(job.warnings.lines())
    if not job.runs:
        of = f"part {parameters.part} of " if parameters.part is not None else ""
        problems([f"no row of {of}'{manifest}' can be rendered"])
        return Ended(BAD_INPUT, None)
    if not job.pending and not bad and prefect_api_url() is None:
        # nothing to do, and nobody watches: no server, no cluster
        code = tell(job, None, json)
        if (again := review_again(job, "render-manifest")) is not None and not json:
            say(f"limits of scores have changed: {plural(len(again.report.to_review), 'video')} to review; report: "
                f"{again.page or again.problem}")  # fmt: skip
        return Ended(code, result_of(job))
    state = run_flow(job, partial(_flow, parameters), quiet_progress=json)
    return Ended(tell(job, state, json), result_of(job), early=bool(job.stopped or job.gave_up or job.lost))


def _render_in_parts(
    parameters: RenderParameters, settings: InfraSettings, many: int, json: bool, manifest: str
) -> int:
    """Render a manifest of more videos than one run renders part by part, each as a run of its own."""
    if parameters.strict:
        with waiting("planning"):
            RenderJob(parameters, settings).read(write=False)  # before anything is rendered
    ends: list[Ended] = []
    for part in range(1, many + 1):
        if not json:
            say(f"part {part} of {many}")
        mine = replace(parameters, part=part, videos_per_run=settings.videos_per_run)
        ends.append(_render(mine, settings, json, manifest))
        if ends[-1].early:
            problems([f"{plural(many - part, 'part')} not begun"] if part < many else [])
            break
    results = [end.result for end in ends if end.result is not None]
    if json and results:
        print_json(joined_results(results))
    if not results:
        return BAD_INPUT
    return max(INCOMPLETE if end.code == BAD_INPUT else end.code for end in ends)


def run_flow(job: RenderJob, flow: Callable[[], Any], *, quiet_progress: bool) -> Any:
    """Run `flow` for a planned job with progress bars; gives the state that it ended in."""
    settings = job.settings
    prepare_prefect(quiet=True)
    begin_server()  # first: a process of its own, which takes longest; Ray comes up meanwhile, and Prefect is imported
    if job.needs_workers:
        start_pool(job, settings)
    with watching(job, disable=quiet_progress) as served:
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        with prefect_server("flows.orchestration.run"), handing_over(job):
            served.set()
            return flow()


def _flow(p: RenderParameters) -> Any:
    from flows.render_manifest import render_manifest  # Prefect takes seconds to import

    return render_manifest(
        p.manifest, p.output, p.strict, p.force, p.range_frames, p.priority, p.videos_per_run, p.part, return_state=True
    )


def conclude(job: RenderJob, state: Any, json: bool) -> int:
    """Tell how it ended; a flow that broke raises what broke it."""
    code = tell(job, state, json)
    if json:
        print_json(result_of(job))
    return code


def result_of(job: RenderJob) -> dict[str, Any]:
    """Return how a job ended, for a script."""
    missing, frames = job.frames_missing
    videos = [
        {
            "video_id": video, "state": "done" if run.done else "failed", "frames": run.work.settings.frames,
            "missing": run.missing, "rendered": run.rendered, "reason": run.reason,
            "video": job.output.uri(run.published.key) if run.published else None,
        }
        for video, run in job.runs.items()
    ]  # fmt: skip
    videos += [{"video_id": row.video_id, "state": "failed", "frames": row.frames, "missing": row.frames, "rendered": 0,
                "reason": reason, "video": None} for row, reason in job.refused]  # fmt: skip
    return {
        "frames": frames,
        "missing": missing,
        "rendered": sum(run.rendered for run in job.runs.values()),
        "complete": job.complete,
        "report": job.output.uri(REPORT_PAGE),
        "videos": videos,
        "problems": [problem.to_dict() for problem in job.problems],
        "problem_kinds": job.problems.kinds,
        "damaged": list(job.damaged[:LISTED]),
        "hosts": list(job.lacks),
        "warnings": list(job.warnings.first),
        "warning_kinds": dict(job.warnings.kinds),
    }


def joined_results(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return how the parts of a manifest ended together. Each of them has read all rows: what is wrong with these is
    the same in all."""
    first = results[0]
    kinds = sum((Counter(it["warning_kinds"]) for it in results), Counter[str]())
    return first | {
        **{name: sum(it[name] for it in results) for name in ("frames", "missing", "rendered")},
        "complete": all(it["complete"] for it in results),
        "videos": [video for it in results for video in it["videos"]],
        "damaged": [line for it in results for line in it["damaged"]][:LISTED],
        "hosts": list(dict.fromkeys(line for it in results for line in it["hosts"])),
        "warnings": [line for it in results for line in it["warnings"]][:LISTED],
        "warning_kinds": dict(kinds),
    }


def tell(job: RenderJob, state: Any, json: bool) -> int:
    """Tell a person how it ended, but for what `result_of` tells a script, and return the exit code; a flow that broke
    raises what broke it."""
    if state is not None and not job.complete and not job.lost:
        error = state.result(raise_on_failure=False)
        if isinstance(error, BaseException) and state.name not in INCOMPLETE_STATES:
            raise error
    missing, frames = job.frames_missing
    rendered = sum(run.rendered for run in job.runs.values())
    problems(job.lacks)
    if not json:
        if job.lost:
            problems([f"{job.lost}. What was committed stays: run the same command again once there is a cluster, and "
                      "it goes on from there"])  # fmt: skip
        if job.gave_up:
            problems([f"gave up: {job.gave_up}"])
        failed = ((video, run.reason) for video, run in job.runs.items() if run.reason and not run.done)
        problems(first_of(f"video '{video}': {reason}" for video, reason in failed))
        counts = JobCounts.of(job)
        untouched = all(run.done and not run.published for run in job.runs.values())
        if untouched and not missing:
            say(f"nothing to do: {counts.all_text} in '{job.parameters.output}' already")
        else:
            again = [video for video, run in job.runs.items() if run.published and not run.published.new]
            say(f"{plural(rendered, 'frame')} rendered, {frames - missing - rendered} were there already, "
                  f"{missing} missing; {counts.videos_text}")  # fmt: skip
            if again:
                say(f"the very same bytes came out again of: {', '.join(again[:20])}")
            say(f"report: {job.output.uri(REPORT_PAGE)}")
    if job.lost:
        return ENVIRONMENT
    # as `plan` and `status`: a plan that can't be read may be one of these videos', and wanted
    return DONE if job.complete and not job.damaged else INCOMPLETE


@contextmanager
def watching(job: RenderJob, *, disable: bool) -> Iterator[threading.Event]:
    """Bars for the job and a line per worker, until the block ends; on a pipe, a line every half minute. What machines
    lack is said when it is found. The block sets the event it gets once the server is up."""
    over, served = threading.Event(), threading.Event()
    if disable:
        yield served
        return
    bars = Progress(
        Words("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        Words("{task.fields[detail]}"), console=stderr,
    )  # fmt: skip
    first = job.progress()
    frames = bars.add_task(
        "frames", total=first.frames, completed=first.frames_done, detail=_detail(first, served=False)
    )
    videos = bars.add_task("videos", total=first.videos, completed=first.videos_done, detail="")

    def show(live: Live | None) -> None:
        said, lacks = 0.0, 0
        while not over.wait(0.5):
            now = job.progress()
            problems(job.lacks[lacks:])  # at once, since somebody can repair it while the job goes on
            lacks = len(job.lacks)
            detail = _detail(now, served=served.is_set())
            if live is None:
                if now.elapsed - said >= 30:
                    said = now.elapsed
                    done = f"{now.frames_done}/{plural(now.frames, 'frame')}"
                    videos_done = f"{now.videos_done}/{plural(now.videos, 'video')}"
                    print(f"{duration(now.elapsed)}: {done}, {videos_done}{fit(detail)}", file=sys.stderr, flush=True)
                continue
            bars.update(frames, completed=now.frames_done, detail=detail)
            bars.update(videos, completed=now.videos_done)
            lines = [
                Text(
                    f"  {w.worker}  {w.video_id} frame {w.frame}  step {w.step}/{w.steps}"
                    f"  loss {w.loss:.3f}  {w.steps_per_second:.1f} steps/s"
                )
                for w in now.workers[:16]
                if w.video_id
            ]  # fmt: skip
            live.update(Group(bars, *lines))
        if live is not None:
            now = job.progress()
            bars.update(frames, completed=now.frames_done, detail="")
            bars.update(videos, completed=now.videos_done)
            live.update(Group(bars))

    live = Live(bars, console=stderr, refresh_per_second=4) if stderr.is_terminal else None
    thread = threading.Thread(target=show, args=(live,), name="progress", daemon=True)
    if live is not None:
        live.start()
    thread.start()
    try:
        yield served
    finally:
        over.set()
        thread.join(timeout=3)
        if live is not None:
            live.stop()


def _detail(now: JobProgress, *, served: bool) -> str:
    """What is said behind the bars: what is still to come up, how long it takes, what failed."""
    parts = [] if served else ["starting server"]
    parts += [now.starting] if now.starting else []
    if now.eta is not None and now.frames_done < now.frames:
        parts.append(f"{duration(now.eta)} left")
    if now.failed:
        parts.append(f"{plural(now.failed, 'frame')} failed")
    if now.bad_rows:
        parts.append(plural(now.bad_rows, "bad row"))
    return "  " + ", ".join(parts) if parts else ""
