"""What `nightreel preview` does: from words and files to a picture or a video."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TimeRemainingColumn

from flows.api.manifest import read_manifest
from flows.api.rendering import PreparedPart, PreparedRow, Renderer, checked_row, prepare, prepare_part
from flows.cli.assignments import assigned
from flows.cli.output import Words, fit, print_json, problems, say, stderr
from flows.job.row_warnings import prompt_warnings, sound_warnings
from flows.report.wording import shorten
from infra.settings import load_settings
from infra.storage.storage import SourceReader, absolute_uri, input_address
from infra.video.encoding import Encoding, format_of
from infra.video.errors import EncodingInvalid
from infra.video.segments import write_video
from infra.video.sound import Sound
from manifests.building import SOURCE_SUFFIXES
from manifests.errors import NightreelError
from manifests.masking import address_without_secrets, has_secret
from manifests.schema import ManifestRow, parse_frames, with_addresses
from manifests.schema.texts import plural, short
from renderers.errors import BadInput
from renderers.frame_plan.part import check_part

if TYPE_CHECKING:
    from renderers.frame_plan.frame_plan import FramePlan
    from renderers.frame_rendering.renderer import StepProgress

__all__ = ["Wanted", "watched", "write_preview"]

MANIFESTS = (*SOURCE_SUFFIXES, ".parquet")
LOOK_SECONDS = 0.5
SHOWN_VIDEOS = 10
DEEPEST = 8  # settings in each other


@dataclass(frozen=True)
class Wanted:
    """What a person asked for: `prompt` is one, or a manifest; `columns` and `assignments` (`cutouts.number=16`) are
    put over the row's; of the video `frames` (`40-64`), all by default, at the shares `scale` and `steps`."""

    prompt: str
    output: Path
    columns: Mapping[str, Any]
    assignments: tuple[str, ...] = ()
    video: str | None = None
    frames: str | None = None
    scale: float = 1.0
    steps: float = 1.0
    motion: bool = False
    json: bool = False

    @property
    def is_manifest(self) -> bool:
        """Whether `prompt` names a manifest: by the end of its name, unless it is a sentence that ends so."""
        is_named_so = self.prompt.lower().endswith(MANIFESTS)
        return is_named_so and (not any(map(str.isspace, self.prompt)) or Path(self.prompt).exists())

    @property
    def is_picture(self) -> bool:
        """Whether one picture is wanted, and no video."""
        return self.output.suffix.lower() == ".png"

    def row(self) -> ManifestRow:
        """Return the row that is meant.

        Raises:
            BadInput: there is none of that name, or several; or it has columns that are wrong.
            ManifestError, StorageError: the manifest can't be read.
        """
        given: dict[str, Any] = {}
        for assignment in self.assignments:
            _assign(given, assignment)
        if not self.is_manifest:
            if self.video is not None:
                raise BadInput("--video is for manifests: this is a prompt")
            return checked_row({"video_id": "preview", "prompt": self.prompt, **self.columns, **given})
        row = _row_of(self.prompt, self.video)
        if not (self.columns or given):
            return row
        return checked_row(_over(_over(row.model_dump(exclude_unset=True), self.columns), given))

    def range(self, frames: int) -> range:
        """Return which of a video's `frames` are meant. Raises BadInput for several ranges, or more than one frame for
        a picture; ranges beyond the end are left to whoever plans them."""
        if self.frames is None:
            return range(1 if self.is_picture else frames)
        found = parse_frames(self.frames)
        if len(found) != 1:
            raise BadInput(f"--frames '{self.frames}': a preview shows one range, such as 40-64")
        if self.is_picture and len(found[0]) != 1:
            raise BadInput(
                f"--frames '{self.frames}': a PNG holds one frame; name it '{self.output.with_suffix('.mp4')}'"
            )
        return found[0]

    def last(self, row: ManifestRow) -> int | None:
        """Return how many frames are to be known of a video that is as long as its film; None: all."""
        if not row.length_of_film:
            return None
        if self.frames is None:
            return 1 if self.is_picture else None
        return max((it.stop for it in parse_frames(self.frames)), default=None)

    def encoding(self, row: ManifestRow, upscale: int) -> Encoding:
        """Return how a video is written. Raises EncodingInvalid where its format can't be had."""
        return Encoding(format=format_of(str(self.output)), fps=row.fps, upscale=upscale)

    def check_output(self) -> None:
        """Raise BadInput if nothing can be written there."""
        if has_secret(shown := str(self.output)):  # its last part alone, as others name it, may be the secret
            raise BadInput(f"output '{address_without_secrets(shown)}' is an address: name a file of this machine")
        if not self.is_picture:
            try:
                format_of(self.output.name)
            except EncodingInvalid as error:
                named = self.output if self.output.name else self.output / "apple"
                raise BadInput(
                    f"output '{self.output}': a preview is a PNG, or a video; name it "
                    f"'{named.with_suffix('.png')}' or '{named.with_suffix('.mp4')}'"
                ) from error
        if not self.output.absolute().parent.is_dir():
            raise BadInput(f"output '{self.output}': there is no folder '{self.output.absolute().parent}'")
        if self.output.exists() and not self.output.is_file():  # nobody may ever read from a pipe
            raise BadInput(f"output '{self.output}' is a folder, a pipe or a device: name another file")


def write_preview(wanted: Wanted) -> PreparedRow:
    """Write what is wanted, with a bar meanwhile, and say what it is; returns the row that it was.

    Raises BadInput and what rendering raises.
    """
    row = wanted.row()
    wanted.check_output()
    prepared = prepare(row, only=wanted.last(row))
    frames = wanted.range(prepared.plan.frames)
    check_part(prepared.plan, frames)
    row = prepared.plan.row
    problems(f"warning: {it}" for it in (*prompt_warnings(row, prepared.plan.entry), *sound_warnings(row)))
    began = time.monotonic()
    if wanted.motion:
        _write_motion(wanted, prepared, frames)
        result: dict[str, Any] = {"seed": prepared.plan.row.seed}
    elif wanted.is_picture and not _is_part(prepared.plan.row, wanted, frames):
        result = _write_picture(wanted, prepared)
    else:
        part = prepare_part(prepared, frames, scale=wanted.scale, steps=wanted.steps)
        result = _write_part(wanted, part, frames)
    seconds = time.monotonic() - began
    result = {"output": str(wanted.output), "frames": len(frames), "seconds": round(seconds, 3)} | result
    if wanted.json:
        print_json(result)
    else:
        say(f"{wanted.output}: {_said(result)}")
    return prepared


def _is_part(row: ManifestRow, wanted: Wanted, frames: range) -> bool:
    """Whether it is no first frame as a render makes it; one that continues another video begins cold in a preview."""
    return frames != range(1) or wanted.scale != 1.0 or wanted.steps != 1.0 or row.continues is not None


def watched(wanted: Wanted) -> None:
    """Write it again whenever the manifest, or a picture of this machine that the row names, changes, until Ctrl-C.
    What is wrong with a row meanwhile is said, and the file is looked at again."""
    paths = [Path(wanted.prompt)]
    while True:
        seen = _looks(paths)
        try:
            prepared = write_preview(wanted)
            paths = [Path(wanted.prompt), *map(Path, prepared.plan.images)]
            seen = seen if len(seen) == len(paths) else _looks(paths)
        except NightreelError as error:
            stderr.print(fit(error), soft_wrap=True)
        stderr.print(f"watching {fit(shorten(wanted.prompt, 200))}; Ctrl-C ends it", soft_wrap=True)
        while _looks(paths) == seen:
            time.sleep(LOOK_SECONDS)


def _looks(paths: list[Path]) -> list[tuple[int, int] | None]:
    """What shows that a file has changed."""
    looks: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            found = path.stat()
            looks.append((found.st_mtime_ns, found.st_size))
        except (OSError, ValueError):  # gone, or an address
            looks.append(None)
    return looks


def _row_of(manifest: str, video: str | None) -> ManifestRow:
    read = read_manifest(manifest)
    problems(read.problems.lines())
    chosen = [row for row in read if row.video_id == video] if video is not None else list(read)
    if len(chosen) == 1:
        folder, policy = absolute_uri(manifest).rpartition("/")[0], load_settings().reading()
        return with_addresses(chosen[0], lambda address: input_address(address, folder, policy))
    if not read.rows:
        raise BadInput(f"manifest '{manifest}' has no good row")
    names = ", ".join(row.video_id for row in islice(read, SHOWN_VIDEOS)) + (
        ", ..." if len(read) > SHOWN_VIDEOS else ""
    )
    what = f"has {len(read)} videos: name one by --video" if video is None else f"has no video '{video}'"
    raise BadInput(f"manifest '{manifest}' {what} ({names})")


def _write_motion(wanted: Wanted, prepared: PreparedRow, frames: range) -> None:
    from renderers.animatic.animatic import animatic

    with _bar(wanted, "drawing", len(frames), "frames") as (bar, line):

        def drawn() -> Iterator[Any]:
            for picture in animatic(prepared.plan, prepared.images, frames):
                yield picture
                bar.advance(line)

        if wanted.is_picture:
            from infra.video.png_sequence import encode_png

            wanted.output.write_bytes(encode_png(next(drawn())))
        else:
            encoding = wanted.encoding(prepared.plan.row, 1)
            with _sound(prepared.plan.row, frames, encoding) as sound:
                write_video(drawn(), encoding, wanted.output, sound)


def _write_picture(wanted: Wanted, prepared: PreparedRow) -> dict[str, Any]:
    """Write the first frame of a video, as a render makes it; returns what is said of it."""
    plan = prepared.plan
    with _bar(wanted, f"loading {plan.entry.name}", plan.row.steps_first, "steps") as (bar, line):
        renderer = _renderer(plan.entry.name, plan.entry.digest)
        bar.reset(line, description="rendering")

        def on_step(step: Any) -> None:
            bar.update(line, completed=step.step, rate=_rate(step))

        frame = next(renderer.frames(prepared, on_step=on_step))
    wanted.output.write_bytes(frame.to_png())
    return {"digest": frame.digest, "seed": plan.row.seed, "steps": len(frame.losses), "loss": frame.loss}


@contextmanager
def _sound(row: ManifestRow, frames: range, encoding: Encoding) -> Iterator[Sound | None]:
    """The sound of `frames` of a video, where it has one and the format holds it."""
    if row.audio is None or row.heard is None or not encoding.spec.sound:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
        path = Path(folder) / "sound"
        path.write_bytes(SourceReader(load_settings().reading()).read(row.audio))
        yield Sound(path, row.audio_start + frames.start / row.fps, row.audio_gain, row.heard.seconds)


def _write_part(wanted: Wanted, part: PreparedPart, frames: range) -> dict[str, Any]:
    """Write `frames` of a smaller video; returns what is said of them."""
    row, steps, losses = part.plan.row, 0, []
    encoding = None if wanted.is_picture else wanted.encoding(row, row.upscale)
    with _bar(wanted, f"loading {part.plan.entry.name}", part.steps, "steps") as (bar, line):
        renderer = _renderer(part.plan.entry.name, part.plan.entry.digest)
        bar.reset(line, description="rendering")

        def on_step(frame: FramePlan, step: StepProgress) -> None:
            bar.update(line, completed=steps + step.step, description=f"frame {frame.index}", rate=_rate(step))

        def rendered() -> Iterator[Any]:
            nonlocal steps
            for frame in renderer.part(part, on_step=on_step):
                steps += len(frame.losses)
                losses.append(frame.loss)
                yield frame

        if encoding is None:
            wanted.output.write_bytes(next(rendered()).to_png())
        else:
            with _sound(row, frames, encoding) as sound:
                write_video((frame.rendered.frame.picture for frame in rendered()), encoding, wanted.output, sound)
    return {"seed": row.seed, "steps": steps, "loss": losses[-1], "width": row.width, "height": row.height}


@contextmanager
def _bar(wanted: Wanted, what: str, total: int, unit: str) -> Iterator[tuple[Progress, TaskID]]:
    columns = (Words("{task.description}"), BarColumn(), MofNCompleteColumn())
    rate = Words(f"{unit}  {{task.fields[rate]}}")
    with Progress(*columns, rate, TimeRemainingColumn(), console=stderr, transient=False, disable=wanted.json) as bar:
        yield bar, bar.add_task(what, total=total, rate="")


def _rate(step: Any) -> str:
    return f"loss {step.loss:.3f}  {step.step / step.seconds:.1f} steps/s"


def _said(result: Mapping[str, Any]) -> str:
    frames, seconds = plural(result["frames"], "frame"), result["seconds"]
    if "loss" not in result:
        return f"{frames} drawn in {seconds:.1f} s"
    many = f"{frames} of {result['width']}x{result['height']}, " if "width" in result else ""
    return f"{many}loss {result['loss']:.3f} after {result['steps']} steps in {seconds:.1f} s, seed {result['seed']}"


@lru_cache(maxsize=1)
def _renderer(model: str, digest: str) -> Renderer:
    """While a manifest is watched, its model stays loaded; the digest tells it from another of its name."""
    return Renderer(model)


def _over(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """`values` with `others` put over them, nested ones too."""
    merged = dict(values)
    for name, value in others.items():
        known = merged.get(name)
        merged[name] = _over(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return merged


def _assign(given: dict[str, Any], assignment: str) -> None:
    """Put `cutouts.number=16` into a nested row; values are YAML scalars."""
    path, value = assigned(assignment, "cutouts.number=16")
    place = given
    *outer, last = path.split(".")
    if len(outer) >= DEEPEST:
        raise BadInput(
            f"--set '{short(assignment, 200)}': a column has at most {DEEPEST} names, such as cutouts.number"
        )
    for key in outer:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set '{short(assignment, 200)}': '{key}' holds a value, not settings")
    place[last] = value
