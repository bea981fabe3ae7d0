"""What a job is to do: the rows of its manifest, planned against storage; what is missing, and how it is cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from flows.failures.policy import Budget
from flows.job.state import VideoRun
from flows.job.stitching import would_overwrite
from flows.job.storage_state import load_work
from flows.planning.chunks import Chunk, chunks_of
from flows.planning.remaining import VideoWork
from infra.settings import InfraSettings
from infra.storage.storage import Storage, manifest_files
from manifests.reading import read_rows
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import ManifestRow
from renderers.registry import Registry

__all__ = ["PlannedJob", "RenderParameters"]


@dataclass(frozen=True)
class RenderParameters:
    """What a user asks for: `manifest` and `output` are URIs or paths; see the command's help for the rest."""

    manifest: str
    output: str
    strict: bool = False
    force: bool = False
    range_frames: int | None = None
    priority: int = 0


class PlannedJob:
    """The videos of a job, good rows and bad; `runs` is where each stands."""

    def __init__(self, parameters: RenderParameters, settings: InfraSettings) -> None:
        self.parameters, self.settings = parameters, settings
        self.registry = Registry(settings.models_folder)
        self.output = Storage(parameters.output)
        self.problems: list[RowProblem] = []
        self.refused: list[tuple[ManifestRow, str]] = []
        self.runs: dict[str, VideoRun] = {}
        self.budget = Budget(0, settings.failure_share)

    def read(self, *, write: bool = True) -> None:
        """Read the manifest and plan every good row against storage. `write` False promises to leave no trace.

        Raises:
            ManifestError: no row can be trusted, or a row is bad and the job is `strict`.
            StorageError: manifest or output can't be used.
        """
        self.output.check(write=write)
        self._plan(self._good_rows())
        if self.parameters.strict and (self.problems or self.refused):
            told = [str(problem) for problem in self.problems] + [reason for _, reason in self.refused]
            raise ManifestError("not rendered, since --strict: " + "; ".join(told))

    def _good_rows(self) -> Iterable[ManifestRow]:
        for result in read_rows(manifest_files(self.parameters.manifest)):
            if isinstance(result, GoodRow):
                yield result.row
            else:
                self.problems.append(result)

    def _plan(self, rows: Iterable[ManifestRow]) -> None:
        chosen = {"chunk_seconds": self.settings.chunk_seconds, "range_frames": self.parameters.range_frames}
        for result in load_work(self.output, rows, self.registry, **chosen):  # type: ignore[arg-type]
            if isinstance(result, tuple):
                row, error = result
                self.refused.append((row, str(error)))
                continue
            clash = None
            if not self.parameters.force:
                clash = would_overwrite(result)
            if clash is not None:
                self.refused.append((result.plan.row, str(clash)))
                continue
            self.runs[result.video_id] = VideoRun.of(result)
        self.budget = Budget(self.frames_missing[1], self.settings.failure_share)

    @property
    def pending(self) -> list[VideoWork]:
        """Videos with something to do."""
        return [run.work for run in self.runs.values() if not run.work.complete]

    @property
    def frames_to_render(self) -> int:
        """Frames that are not in storage, of the rows that can be rendered."""
        return sum(run.work.missing for run in self.runs.values())

    @property
    def needs_workers(self) -> bool:
        """Whether anything is to be rendered or encoded."""
        return any(run.ranges_left for run in self.runs.values())

    @property
    def frames_missing(self) -> tuple[int, int]:
        """Frames that are still missing, of all frames wanted (rows that could not be planned count whole)."""
        refused = sum(row.frames for row, _ in self.refused)
        missing = sum(run.missing for run in self.runs.values()) + refused
        return missing, sum(run.work.plan.frames for run in self.runs.values()) + refused

    @property
    def complete(self) -> bool:
        """Whether every row was good and every video is there."""
        return not self.problems and not self.refused and all(run.done for run in self.runs.values())

    def chunks(self, actors: int, max_batch: int = 1) -> tuple[Chunk, ...]:
        """The work, cut for `actors` that render frames of so many videos `together`."""
        videos = (run.work for run in self.runs.values())
        return chunks_of(videos, actors=actors, chunk_seconds=self.settings.chunk_seconds, max_batch=max_batch)
