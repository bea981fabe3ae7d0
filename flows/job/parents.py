"""Frames of other videos that videos continue: those of the same job, and those that lie in the output.

A video can be planned once that is which it continues: the address of its first frame holds that of the frame from
which it starts, takes of re-runs included.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from threading import Lock

from flows.planning.earlier_takes import GENERATIONS, parent_takes
from flows.planning.remaining import VideoWork
from infra.storage.layout import frame_key
from manifests.errors import NightreelError
from manifests.schema import ManifestRow
from manifests.schema.texts import short
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import ParentFrame
from renderers.frame_plan.video_plan import VideoPlan

__all__ = ["Parents", "in_generations"]

SHOWN = 5  # rows of a circle


class Parents:
    """The videos that others of a job may continue. `stored` gives the plan of one that lies in the output, with the
    keys of its folder, or None; it is asked once for each, by one thread at a time. `refuses` says of a row that could
    be planned why the job will not render it, if so; `unread` where the rows stand, by their ids, that can't be read,
    as far as the manifest has been read."""

    def __init__(
        self,
        stored: Callable[[str], tuple[VideoPlan, Iterable[str]] | None],
        refuses: Callable[[VideoWork], NightreelError | None] = lambda _: None,
        unread: Mapping[str, str] | None = None,
    ) -> None:
        self._stored, self._refuses, self._unread = stored, refuses, unread if unread is not None else {}
        self._planned: dict[str, VideoWork] = {}
        self._refused: dict[str, str] = {}
        self._found: dict[str, tuple[VideoPlan, frozenset[str]] | NightreelError | None] = {}
        self._lock = Lock()

    def add(self, result: VideoWork | tuple[ManifestRow, NightreelError]) -> None:
        """Note what became of a row of the job."""
        if not isinstance(result, VideoWork):
            row, error = result
            self._refused[row.video_id] = str(error)
        elif (refusal := self._refuses(result)) is not None:
            self._refused[result.video_id] = str(refusal)
        else:
            self._planned[result.video_id] = result

    def of(self, plan: VideoPlan) -> ParentFrame | None:
        """Return the frame that a row, planned without it, continues; None where it continues none.

        Raises:
            BadInput: there is no such video, or it has no such frame; it is of another size or model; or its row can't
                be read, or not be rendered.
            RenderError, StorageError: it lies in the output, and can't be read there.
        """
        wanted = plan.row.parent
        if wanted is None:
            return None
        name = f"video '{plan.video_id}' continues {wanted}"
        if wanted.video_id in self._refused:
            reason = short(self._refused[wanted.video_id], 300)
            raise BadInput(f"{name}, whose row can't be rendered: {reason}")
        here = self._planned.get(wanted.video_id)
        if here is not None:
            parent, keys = here.plan, None
        elif wanted.video_id in self._unread:
            # not what lies in the output: that is of another row, and would be rendered anew with the row put right
            raise BadInput(f"{name}, whose row can't be read ({self._unread[wanted.video_id]}): correct that first")
        else:
            parent, keys = self._in_storage(wanted.video_id, name)
        frame = parent.frames - 1 if wanted.frame is None else wanted.frame
        if frame >= parent.frames:
            raise BadInput(f"{name}, but '{wanted.video_id}' has the frames 0-{parent.frames - 1}: name one of those")
        _check_shape(name, plan, parent)
        digest = parent.digests[frame]
        if keys is not None and frame_key(wanted.video_id, frame, digest) not in keys:
            raise BadInput(
                f"{name}, but frame {frame} of '{wanted.video_id}' is not in the output yet, and no row of this "
                f"manifest renders it: add the row of '{wanted.video_id}', or render that first"
            )
        return ParentFrame(wanted.video_id, frame, digest)

    def takes(self, plan: VideoPlan) -> tuple[str, ...]:
        """The digests that the frame which `plan` continues had before the latest re-runs, of its video and of those
        that this one continues; as `of` found them."""
        line: list[VideoPlan] = []
        current = plan
        while current.parent is not None and len(line) < GENERATIONS:
            above = self._planned.get(current.parent.video_id)
            found = self._found.get(current.parent.video_id)
            if above is not None:
                current = above.plan
            elif isinstance(found, tuple):
                current = found[0]
            else:
                break  # further up than the rows of this job, and those that they continue
            line.append(current)
        return parent_takes(line, plan.parent.frame) if plan.parent is not None else ()

    def _in_storage(self, video_id: str, name: str) -> tuple[VideoPlan, frozenset[str]]:
        with self._lock:
            if video_id not in self._found:
                try:
                    stored = self._stored(video_id)
                    self._found[video_id] = None if stored is None else (stored[0], frozenset(stored[1]))
                except NightreelError as error:
                    self._found[video_id] = error
            found = self._found[video_id]
        if isinstance(found, NightreelError):
            raise found
        if found is None:
            near = get_close_matches(video_id, list(self._planned), 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise BadInput(f"{name}, but neither this manifest nor the output has a video '{video_id}'{hint}")
        return found


def in_generations(rows: Iterable[ManifestRow]) -> Iterator[list[ManifestRow] | list[tuple[ManifestRow, BadInput]]]:
    """Yield rows that continue others: those whose parents are none of them, then those that continue these, and so on.
    At last those that go round in a circle, and those that continue one of these, each with what to say of it."""
    waiting = {row.video_id: row for row in rows}
    children: defaultdict[str, list[ManifestRow]] = defaultdict(list)
    generation: list[ManifestRow] = []
    for row in waiting.values():
        parent = row.parent.video_id if row.parent is not None else ""
        (children[parent] if parent in waiting else generation).append(row)
    while generation:
        yield generation
        for row in generation:
            del waiting[row.video_id]
        generation = [child for row in generation for child in children[row.video_id]]
    if waiting:
        yield [(row, BadInput(_circle(row, waiting))) for row in waiting.values()]


def _circle(row: ManifestRow, rows: dict[str, ManifestRow]) -> str:
    """What to say of a row whose parents lead into a circle."""
    names = [row.video_id]
    while len(names) <= SHOWN and (parent := rows[names[-1]].parent) is not None:
        names.append(parent.video_id)
        if parent.video_id in names[:-1]:
            break
    way = " -> ".join(names)
    return f"video '{row.video_id}' continues {row.continues}, and so on in a circle ({way}): one of them must begin"


def _check_shape(name: str, plan: VideoPlan, parent: VideoPlan) -> None:
    """Raise BadInput unless a frame of `parent` can be gone on from."""
    if plan.entry.digest != parent.entry.digest:
        raise BadInput(
            f"{name}, which model '{parent.entry.name}' draws, but this one has model '{plan.entry.name}': a latent "
            "means nothing to another model; give both the same"
        )
    mine, theirs = (f"{it.row.width}x{it.row.height}" for it in (plan, parent))
    if mine != theirs:
        raise BadInput(f"{name}, which is {theirs} pixels, but this one is {mine}: give both the same size")
