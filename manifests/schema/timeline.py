"""What a row says of time: the values that expressions know besides the number of the frame."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from manifests.schema.audio import Signals, is_signal, signal_of

__all__ = ["NAMES_OF_VIDEO", "NAMES_OF_VIDEO_IN_KEYS", "Computed", "Timeline"]

#: What is computed of the number of the frame, and of how much of the frame's own steps is over.
Computed = Callable[[float, float], float]

#: Names that mean something else in each video, with what they are.
NAMES_OF_VIDEO = {
    "s": "seconds",
    "b": "beats",
    "n": "number of frames",
    "max_f": "last frame",
    "seed": "the row's seed",
}
#: Those that are the same at every frame, and so may stand in a key.
NAMES_OF_VIDEO_IN_KEYS = ("max_f", "n")


@dataclass(frozen=True, slots=True)
class Timeline:
    """One video's time."""

    frames: int
    fps: float = 24.0
    seed: int = 0
    bpm: float | None = None
    beat_offset: float = 0.0
    sound: Signals | None = None

    def only(self, names: Collection[str]) -> Timeline:
        """What of it decides the values of `names`: equal for videos in which these are equal."""
        return Timeline(
            frames=self.frames if "n" in names or "max_f" in names else 1,
            fps=self.fps if "s" in names or "b" in names else 24.0,
            seed=self.seed if "seed" in names else 0,
            bpm=self.bpm if "b" in names else None,
            beat_offset=self.beat_offset if "b" in names else 0.0,
            sound=self.sound.only(names) if self.sound is not None else None,
        )

    def value(self, name: str) -> float | Computed:
        """The value of one of NAMES_OF_VIDEO, or of the music's, or what computes it.

        Raises:
            LookupError: the video has none, in words.
        """
        fps, offset = self.fps, self.beat_offset
        match name:
            case "n":
                return float(self.frames)
            case "max_f":
                return float(self.frames - 1)
            case "seed":
                return float(self.seed)
            case "s":
                return lambda t, u: t / fps
        if is_signal(name):
            return self._signal(name)
        if self.bpm is None:
            raise LookupError("'b' counts beats: give their number per minute in the column bpm")
        bpm = self.bpm
        return lambda t, u: t / fps * bpm / 60.0 - offset

    def unheard(self, names: Collection[str]) -> bool:
        """Whether the values of `names` hang on sound that nobody has heard yet."""
        return self.sound is not None and self.sound.values is None and any(map(is_signal, names))

    def _signal(self, name: str) -> Computed:
        sound = self.sound
        if sound is None:
            raise LookupError(f"'{name}' is of the music: name a file of it in the column audio")
        if signal_of(name) not in sound.names:
            raise LookupError(f"'{name}' is none of the row's bands: there are {', '.join(sound.names)}")
        return lambda t, u: sound.at(name, t)
