"""A training's folder: checkpoints that survive a kill, curves as CSV and as a plot, and progress for whoever looks.

<folder>/checkpoint.pt   all that the next step needs, replaced atomically
<folder>/curves.csv      one line per logged step
<folder>/curves.png      the same, drawn
<folder>/settings.json   what the run was started with
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from renderers.errors import TrainingBroken
from renderers.training.kept_documents import read_object

__all__ = ["TrainingProgress", "TrainingRun", "read_checkpoint", "trapezoid", "write_whole"]

CHECKPOINT = "checkpoint.pt"
# what a resume may change: how long the training goes on, and how often it tells.
MAY_CHANGE = frozenset({"steps", "checkpoint_every", "log_every"})


@dataclass(frozen=True)
class TrainingProgress:
    """`step` of `steps` done (from 1), in `seconds` of training altogether, kills and resumes included; `metrics` are
    those last logged."""

    step: int
    steps: int
    seconds: float
    metrics: Mapping[str, float]


def read_checkpoint(folder: Path) -> dict[str, Any]:
    """The last checkpoint of the training in `folder`, on the CPU.

    Raises:
        TrainingBroken: there is none, or it can't be read.
    """
    path = folder / CHECKPOINT
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever its pickle, zip and file readers do
        raise TrainingBroken(f"the checkpoint '{path}' can't be read: {error}") from error
    return state


def trapezoid(step: int, steps: int, *, warm_up: int, cool_down: float) -> float:
    """The learning rate's factor at `step` (from 0): up over `warm_up` steps, flat, down to 0 over the last share.

    Flat in the middle, so that a run can be given more or fewer steps when it is resumed (Zhai et al. 2022, "Scaling
    Vision Transformers", section 3.5: "infinite" schedules with a cool-down).
    """
    down = max(1.0, steps * cool_down)
    return max(0.0, min(1.0, (step + 1) / max(1, warm_up), (steps - step) / down))


class TrainingRun:
    """One training in one folder, fresh or resumed."""

    def __init__(self, folder: Path, settings: BaseModel, *, writes: bool = True) -> None:
        """`writes`: whether this process keeps the folder (the first of several workers does).

        Raises:
            TrainingBroken: the folder holds another training, or one that can't be read.
        """
        self.folder, self.settings, self.writes = folder, settings, writes
        self._seconds_before, self._began = 0.0, time.monotonic()
        self.metrics: dict[str, float] = {}
        wanted, path = settings.model_dump(mode="json"), folder / "settings.json"
        if path.exists() and self.checkpoint.exists():
            _require_same(path, wanted, {name: field.default for name, field in type(settings).model_fields.items()})
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps(wanted, indent=2).encode())

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT

    @property
    def seconds(self) -> float:
        """Seconds of training so far, those before a resume included."""
        return self._seconds_before + time.monotonic() - self._began

    def load(self) -> dict[str, Any] | None:
        """The last checkpoint, or None for a fresh run. Curves are cut back to it: those that a kill before the first
        checkpoint left behind are dropped.

        Raises:
            TrainingBroken: it is there and can't be read.
        """
        if not self.checkpoint.exists():
            if self.writes:
                (self.folder / "curves.csv").unlink(missing_ok=True)
            return None
        state = read_checkpoint(self.folder)
        self._seconds_before, self._began = float(state["seconds"]), time.monotonic()
        if self.writes:
            rows = [row for row in self.curves() if row["step"] <= state["step"]]
            self._write_curves(rows)
            self.metrics = {k: v for k, v in rows[-1].items() if k not in ("step", "seconds")} if rows else {}
        return state

    def save(self, step: int, state: Mapping[str, Any]) -> None:
        """Keep `state` after `step` steps: whole, or the one before stays."""
        if not self.writes:
            return
        unfinished = self.checkpoint.with_suffix(".unfinished")
        torch.save({**state, "step": step, "seconds": self.seconds}, unfinished)
        unfinished.replace(self.checkpoint)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Add one line to the curves."""
        self.metrics = dict(metrics)
        if not self.writes:
            return
        row = {"step": float(step), "seconds": round(self.seconds, 1), **metrics}
        path = self.folder / "curves.csv"
        known = self._columns()
        if any(key not in known for key in row):
            self._write_curves([*self.curves(), row])
            return
        with path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, known).writerow(row)

    def curves(self) -> list[dict[str, float]]:
        """All logged lines; columns that a line lacks are left out."""
        path = self.folder / "curves.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]

    def draw(self) -> None:
        """Draw the curves, one small plot each, side by side."""
        rows = self.curves()
        names = [name for name in self._columns() if name not in ("step", "seconds")]
        if not self.writes or not rows or not names:
            return
        import matplotlib as mpl  # slow to import, and wanted at the end of a training only

        mpl.use("Agg")
        from matplotlib import pyplot

        across = min(4, len(names))
        down = -(-len(names) // across)
        figure, axes = pyplot.subplots(down, across, figsize=(4 * across, 2.6 * down), squeeze=False)
        for axis, name in zip(axes.flat, names, strict=False):
            points = [(row["step"], row[name]) for row in rows if name in row]
            axis.plot(*zip(*points, strict=True), linewidth=1)
            axis.set_title(name, fontsize=9)
            axis.tick_params(labelsize=7)
        for axis in list(axes.flat)[len(names) :]:
            axis.axis("off")
        figure.tight_layout()
        figure.savefig(self.folder / "curves.png", dpi=90)
        pyplot.close(figure)

    def progress(self, step: int, steps: int, tell: Callable[[TrainingProgress], None] | None) -> None:
        """Tell whoever looks."""
        if tell is not None:
            tell(TrainingProgress(step, steps, self.seconds, dict(self.metrics)))

    def _columns(self) -> list[str]:
        path = self.folder / "curves.csv"
        if not path.exists():
            return []
        with path.open(newline="", encoding="utf-8") as file:
            return next(csv.reader(file), [])

    def _write_curves(self, rows: list[dict[str, float]]) -> None:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        lines: list[list[float | str]] = [[*columns], *([row.get(key, "") for key in columns] for row in rows)]
        write_whole(self.folder / "curves.csv", "".join(",".join(map(str, line)) + "\r\n" for line in lines).encode())


def _require_same(path: Path, wanted: Mapping[str, Any], neutral: Mapping[str, Any]) -> None:
    """Make sure that a kept training is the one that is `wanted`, but for what may change when it is resumed.

    A setting that the kept one has no word for is younger than it, and was `neutral` then: the default of every new
    setting leaves trainings as they were.
    """
    try:
        kept = read_object(path)
    except (OSError, ValueError) as error:
        raise TrainingBroken(f"the settings '{path}' can't be read: {error}; take an empty folder") from error
    unknown = sorted(kept.keys() - wanted.keys())
    if unknown:
        raise TrainingBroken(
            f"'{path.parent}' holds a training with settings that this version of nightreel does not have "
            f"({', '.join(unknown)}): go on with the version that began it, or take an empty folder"
        )
    different = [name for name in wanted if name not in MAY_CHANGE and kept.get(name, neutral[name]) != wanted[name]]
    if different:
        raise TrainingBroken(
            f"'{path.parent}' holds a training with other settings ({', '.join(different)}): "
            "take an empty folder, or the same settings to go on with it"
        )


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` in the place of what `path` holds: all of it, or what was there stays."""
    unfinished = path.with_name(path.name + ".unfinished")
    unfinished.write_bytes(content)
    unfinished.replace(path)
