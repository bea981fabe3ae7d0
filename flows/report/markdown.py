"""The same report for Prefect's UI: a Markdown summary and a table of failed frames.

Prefect shows both in two user interfaces that read them differently [read in the sources of Prefect 3.8.8]: Markdown
goes through `marked` in the old one and through remark with GitHub's extensions and raw HTML in the new one; the text
in a table's cell is Markdown in the old one and plain text in the new one. Hence two ways to make foreign text safe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from urllib.parse import quote

from flows.report.model import STATES, JobReport, VideoReport, per_frame
from flows.report.wording import ending_text, hours_text, is_web, moment_text, one_line, percent_text, seconds_text
from flows.retry_and_quarantine.records import PLANNER, FailureRecord
from manifests.schema.texts import plural

#: Rows of each list in the summary.
_ROWS = 25

# WORD JOINER: no width, no line break, and neither a letter nor white space to a Markdown parser.
_JOINER = "\u2060"
# As few as will do, since Prefect's old UI shows entities in the cells of a table as they are written.
_ACTIVE = re.compile(r"[&<>`*\[\]|~\\$^]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BLOCK = re.compile(r"^(?:[-+=:#]|\d+(?=[.)](?:\s|$)))")
# Bare addresses become links even when escaped: remark's GitHub extension looks for them after it has decoded entities.
# Storage URIs (`s3://`) are no web addresses and stay as they are, to be copied.
_AUTOLINK = re.compile(r"(?:https?|ftp)://|www(?=\.)|@|(?:mailto|xmpp):", re.IGNORECASE)
_INERT = re.compile(r"<(?=[A-Za-z/!?])|\](?=[(\[:])|&(?=[#\w])")
_INERT_BLOCK = re.compile(r"[#>|=+*_~`:-]|\d+[.)](?:\s|$)")


def escape_markdown(text: object, limit: int = 300) -> str:
    """`text` as one line of Markdown (in a paragraph or a table's cell) that shows these very characters, no more.

    Special characters become numeric entities and not backslash escapes: an entity can't be read as structure by any
    Markdown parser, whereas an escaped `|` ends a cell in some. Bare addresses get an invisible joint and stay text.
    """
    line = _ACTIVE.sub(lambda match: f"&#{ord(match[0])};", _AUTOLINK.sub(_jointed, one_line(text, limit)))
    return _BLOCK.sub(lambda match: "".join(f"&#{ord(character)};" for character in match[0]), line)


def inert_text(text: object, limit: int = 500) -> str:
    """`text` as one line that reads the same as plain text and does nothing as Markdown: no HTML, no link, no picture.

    An invisible joint breaks what would be a tag, an entity, a link or a block; emphasis is let be.
    """
    line = _INERT.sub(_jointed, _AUTOLINK.sub(_jointed, one_line(text, limit)))
    return _JOINER + line if _INERT_BLOCK.match(line) else line


def _jointed(match: re.Match[str]) -> str:
    return match[0] + _JOINER


def _no_form(video: str, frames: str) -> str:
    return ""


def summary_markdown(
    report: JobReport, rerun: Callable[[str, str], str] = _no_form, *, message: str = "", place: str = ""
) -> str:
    """The summary of a job for a Prefect Markdown artifact: outcome, failed frames, counts, times, bad rows, links.

    `rerun` gives the address of the form that re-runs frames (such as `missing`) of a video, "" where there is none.
    `message` says how the run ended, `place` where the report lies.
    """
    parts = [f"# {escape_markdown(report.title, 120)}"]
    parts += [f"**{escape_markdown(message, 2000)}**"] if message else []
    parts += [_outcome(report)] if not message else []
    parts += [_place(place)] if place else []
    parts += list(_failed_frames(report, rerun))
    parts += [_totals(report)]
    if report.problems:
        parts += [
            f"## {plural(report.bad_rows, 'row was', 'rows were')} not rendered",
            _table(
                ("file", "row", "video", "column", "value", "what is wrong", "what is allowed"),
                (
                    (it.file, it.row, it.video_id, it.column, it.value, it.message, it.allowed)
                    for it in report.problems[:_ROWS]
                ),
                more=report.problems.total - _ROWS,
            ),
        ]
    if report.incomplete:
        parts += [
            f"## {plural(len(report.incomplete), 'video is', 'videos are')} not complete",
            _table(
                ("video", "state", "frames", "reason", "prompt"),
                (
                    (it.video_id, it.state, f"{it.done:,} of {it.frames:,}", it.reason, one_line(it.prompt, 120))
                    for it in report.incomplete[:_ROWS]
                ),
                more=len(report.incomplete) - _ROWS,
            ),
        ]
        # what could not be planned has no settings, and no frames to render again
        forms = [(it.video_id, rerun(it.video_id, "missing")) for it in report.incomplete[:_ROWS] if it.settings]
        links = [_link(video, address) for video, address in forms if address]
        parts += ["Render their missing frames again, with other settings: " + " · ".join(links)] if links else []
    if report.to_review:
        reviewed = [(it.video_id, "; ".join(flag.text for flag in it.flags)) for it in report.to_review[:_ROWS]]
        parts += [
            f"## {plural(len(report.to_review), 'video')} to review",
            _table(("video", "why"), reviewed, more=len(report.to_review) - _ROWS),
        ]
    if report.hosts:
        shown, more = report.hosts[:_ROWS], len(report.hosts) - _ROWS
        parts += [
            f"## {plural(len(report.hosts), 'machine lacks', 'machines lack')} what the work needs",
            "\n".join(f"- {escape_markdown(it, 1000)}" for it in shown)
            + (f"\n- and {more:,} more" if more > 0 else ""),
        ]
    noted = [(it.video_id, note) for it in report.videos for note in it.notes]
    if noted:
        parts += ["## Worth knowing", _table(("video", "note"), noted[:_ROWS], more=len(noted) - _ROWS)]
    if report.failures_by_kind:
        parts += ["## Failed attempts", _table(("kind", "attempts", "frames", "last message"), _kinds(report))]
    if len(report.slowest) > 1:  # one video's times are the job's own
        parts += [
            "## Slowest videos",
            _table(
                ("video", "render time", "frames", "per frame"),
                (
                    (it.video_id, seconds_text(it.render_seconds), f"{it.frames:,}", seconds_text(per_frame(it)))
                    for it in report.slowest
                ),
            ),
        ]
    if len(report.runs) > 1:
        parts += ["## Runs of this output", _table(("run", "began", "end", "frames", "wall time"), _runs(report))]
    if report.versions:
        versions = (f"{name} {version}" for name, version in report.versions.items())
        parts.append(" · ".join(escape_markdown(version, 120) for version in versions))
    return "\n\n".join(parts) + "\n"


def _place(place: str) -> str:
    """Where the report lies: as a link where a browser can follow it from a web page: to no file and to no bucket."""
    return _link("Open the report", place) if is_web(place) else f"Report: {escape_markdown(place, 1000)}"


def _failed_frames(report: JobReport, rerun: Callable[[str, str], str]) -> Iterable[str]:
    """The failures that stand, each with what to do about it."""
    standing: dict[tuple[str, int | None], list[FailureRecord]] = {}
    for video in report.videos:
        for failure in video.unresolved:
            standing.setdefault((video.video_id, failure.frame), []).append(failure)
    if not standing:
        return
    yield f"## {plural(len(standing), 'failure stands', 'failures stand')}"
    header = ("video", "frame", "re-run", "log", "kind", "tries", "message")
    lines = [_row(header), _row(["---"] * len(header))]
    for failures in list(standing.values())[:_ROWS]:
        last = failures[-1]
        frame = "all" if last.frame is None else str(last.frame)
        form = "" if last.worker == PLANNER else rerun(last.video_id, "missing" if last.frame is None else frame)
        cells = [
            escape_markdown(last.video_id, 130), frame, _link("re-run", form) if form else "–",
            _link("log", last.log) if last.log else "–", escape_markdown(last.kind, 80), str(len(failures)),
            escape_markdown(last.message),
        ]  # fmt: skip
        lines.append(_row(cells))
    more = len(standing) - _ROWS
    yield "\n".join(lines) + (f"\n\nand {more:,} more: see failed-frames and the report" if more > 0 else "")


def _runs(report: JobReport) -> Iterable[Sequence[object]]:
    for run in report.runs[:_ROWS]:
        tries = f" ({plural(run.attempts, 'attempt')})" if run.attempts > 1 else ""
        yield (
            f"{run.name}{tries}",
            moment_text(run.began),
            ending_text(run.result),
            f"{run.rendered:,}",
            seconds_text(run.wall_seconds),
        )


def video_table(report: JobReport, videos: Collection[str], limit: int = 500) -> list[dict[str, str | int]]:
    """The report's `videos` as rows of a Prefect table artifact, worst state first, at most `limit`: a task run may
    render a bundle of short videos, whose names it can't hold. If some are left out, the last row says how many."""
    found = sorted((it for it in report.videos if it.video_id in videos), key=lambda it: STATES.index(it.state))
    left_out = len(found) - limit
    rows: list[dict[str, str | int]] = [
        {
            "video": inert_text(it.video_id, 130),
            "state": it.state,
            "frames": f"{it.done:,} of {it.frames:,}",
            "rendered": it.rendered,
            "reason": inert_text(it.reason),
            "prompt": inert_text(it.prompt, 160),
        }
        for it in (found[: limit - 1] if left_out > 0 else found)
    ]
    if left_out > 0 and rows:
        blank = dict.fromkeys(rows[0], "")
        rows.append({**blank, "video": f"and {plural(left_out + 1, 'more video')}: see the report"})
    return rows


def failure_table(
    report: JobReport, rerun: Callable[[str, str], str] = _no_form, limit: int = 200
) -> list[dict[str, str | int | float | None]]:
    """Failed frames as rows of a Prefect table artifact, one per frame, at most `limit`; those that still stand first.

    A frame's row tells its last failure, and how many there were. If frames are left out, the last row says how many.
    """
    frames: dict[tuple[str, int | None], list[FailureRecord]] = {}
    standing: set[tuple[str, int | None]] = set()
    for video in report.videos:
        for failure in sorted(video.failures, key=lambda it: it.attempt):
            frames.setdefault((video.video_id, failure.frame), []).append(failure)
        standing.update((video.video_id, failure.frame) for failure in video.unresolved)
    keys = sorted(frames, key=lambda key: key not in standing)  # stable: manifest order within each half
    left_out = len(keys) - limit
    rows: list[dict[str, str | int | float | None]] = []
    for key in keys[: limit - 1] if left_out > 0 else keys:
        last = frames[key][-1]
        rows.append(
            {
                "video": inert_text(last.video_id, 130),
                "frame": "all" if last.frame is None else last.frame,
                # bare addresses: a link in one of Prefect's UIs, text to be copied in the other; the summary has links
                "re-run": rerun(last.video_id, "missing" if last.frame is None else str(last.frame))
                if key in standing and last.worker != PLANNER
                else "",
                "log": _bare(last.log),
                "outcome": "not rendered" if key in standing else "rendered later",
                "failures": len(frames[key]),
                "kind": inert_text(last.kind, 80),
                "message": inert_text(last.message),
                "worker": inert_text(last.worker, 80),
                "seconds": round(last.seconds, 2),
                "when": inert_text(moment_text(last.when), 80),
            }
        )
    if left_out > 0 and rows:
        blank = dict.fromkeys(rows[0], "")
        more = f"and {plural(left_out + 1, 'more frame')}"
        rows.append({**blank, "video": more, "message": f"{more}: see the report"})
    return rows


def _outcome(report: JobReport) -> str:
    if not report.videos and not report.problems:
        return "The manifest holds no rows."
    done, videos = report.states["done"], len(report.videos)
    if report.complete and not report.rendered:
        return f"**{plural(videos, 'video')}, all there already: nothing was rendered.**"
    frames = f"{report.frames_done:,} of {plural(report.frames, 'frame')}"
    return f"**{done:,} of {plural(videos, 'video')} done, {frames}.**"


def _totals(report: JobReport) -> str:
    states = ", ".join(f"{count:,} {state}" for state, count in report.states.items() if count) or "none"
    rows: list[tuple[object, object]] = [
        ("videos", states),
        ("frames", f"{report.rendered:,} rendered now, {report.skipped:,} kept"),
        *([("to review", plural(len(report.to_review), "video"))] if report.to_review else []),
        ("wall time", seconds_text(report.wall_seconds)),
        ("render time", seconds_text(report.render_seconds)),
        ("actor hours", hours_text(report.actor_hours)),
    ]
    if report.gpu_hours:
        rows.append(("GPU hours", hours_text(report.gpu_hours)))
    if report.telling_overhead is not None:
        rows.append(("overhead", percent_text(report.telling_overhead)))
    elif report.rendered:
        rows.append(("start-up", seconds_text(report.start_up_seconds)))
    rows += [("manifest", report.manifest), ("output", report.output)]
    return _table(("", ""), rows)


def _kinds(report: JobReport) -> Iterable[Sequence[object]]:
    by_kind: dict[str, list[tuple[VideoReport, FailureRecord]]] = {}
    for video in report.videos:
        for failure in video.failures:
            by_kind.setdefault(failure.kind, []).append((video, failure))
    for kind, count in report.failures_by_kind.items():
        frames = {(video.video_id, failure.frame) for video, failure in by_kind[kind]}
        yield kind, count, len(frames), by_kind[kind][-1][1].message


def _table(header: Sequence[str], rows: Iterable[Sequence[object]], more: int = 0) -> str:
    lines = [_row(header), _row(["---"] * len(header))]
    lines += [_row(["–" if cell is None or cell == "" else escape_markdown(cell) for cell in row]) for row in rows]
    text = "\n".join(lines)
    return f"{text}\n\nand {more:,} more" if more > 0 else text


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bare(url: str) -> str:
    """A web address as a cell of its own, with nothing in it that Markdown reads; any other text does nothing."""
    return quote(url, safe=":/?#@!$&+,;=%~") if is_web(url) else inert_text(url)


def _link(text: str, url: str) -> str:
    """A link if `url` is a web address, else both as text: `s3://` leads nowhere in a browser, and from a web page
    `file://` does not either."""
    if not is_web(url):
        return f"{escape_markdown(text)}: {escape_markdown(url)}"
    return f"[{escape_markdown(text)}](<{quote(url, safe=':/?#[]@!$&()*+,;=%~')}>)"
