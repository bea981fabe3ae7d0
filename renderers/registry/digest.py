"""The digest of a model: what of its entry decides a picture, and only as far as it is not neutral.

As with a row's settings (`renderers.frame_plan.neutral`), a field that is added later leaves the digest of every model
that does not use it. Neutral values are frozen; what a new field needs is one line in `NEUTRAL`, or in
`NOT_IN_PICTURES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from renderers.canonical import differing, fields_of, sha256_of
from renderers.checksums import file_sha256
from renderers.errors import ModelFilesBroken

if TYPE_CHECKING:
    from renderers.registry.entry import ModelEntry, PerceptorEntry, VQGANEntry

__all__ = ["NEUTRAL", "NOT_IN_PICTURES", "DigestsRemembered", "deviations", "model_digest"]

NEUTRAL: Mapping[str, Any] = {
    "concepts": (),
    "vqgan.kind": "vqgan",
    "vqgan.config": None,
    "vqgan.sha256": None,
    "vqgan.source": None,
    "perceptor.folder": None,
    "perceptor.architecture": None,
    "perceptor.pretrained": None,
    "perceptor.sha256": None,
    "perceptor.merges": None,
    "perceptor.words": None,
    "perceptor.templates": ("{}",),
    "perceptor.weight": 1.0,
    "perceptor.cutouts": 1.0,
}

# Names and figures for people, where files lie, and what reaches a picture through the row (`defaults`, `presets`) or
# the VQGAN's config (`downsampling`). The depth model has a digest of its own, for those frames that ask it.
NOT_IN_PICTURES = frozenset({
    "name", "like", "summary", "licence", "size_bytes", "downsampling", "defaults", "presets", "seconds_per_step",
    "measured_on", "vqgan.weights", "perceptor.weights", "perceptor.cache", "perceptor.known_words", "depth",
})  # fmt: skip

# Each has names of its own.
_PARTS = frozenset({"vqgan", "perceptors"})


# Entries whose digest is known for a while, by identity: a copy of one, with another perceptor, is another one.
_REMEMBERED: dict[int, tuple[ModelEntry, str]] = {}


class DigestsRemembered:
    """While the block lasts the digests of the very entries that it was told of are not computed again: that reads
    files, and a manifest may have a million rows of one model."""

    def __enter__(self) -> DigestsRemembered:
        self._mine: list[ModelEntry] = []
        return self

    def __exit__(self, *_: object) -> None:
        for entry in self._mine:
            _REMEMBERED.pop(id(entry), None)

    def of(self, entry: ModelEntry) -> ModelEntry:
        """Remember the digest of `entry`, and return that; one whose files can't be read says so to whoever asks."""
        with suppress(ModelFilesBroken):
            _REMEMBERED[id(entry)] = entry, model_digest(entry)
            self._mine.append(entry)
        return entry


def model_digest(entry: ModelEntry) -> str:
    """What of a model decides a picture: weights, configs, merges or words, templates and concepts.

    A model that has yet to be fetched has its digest already: the checksums of its source are known.

    Raises:
        ModelFilesBroken: a config, the merges or the words can't be read.
    """
    known = _REMEMBERED.get(id(entry))
    if known is not None and known[0] is entry:
        return known[1]
    try:
        return sha256_of(
            _differing(entry)
            | {"vqgan": _vqgan(entry.vqgan), "perceptors": [_perceptor(perceptor) for perceptor in entry.perceptors]}
        )
    except (OSError, ModelFilesBroken) as error:
        raise ModelFilesBroken(f"a file of model '{entry.name}' can't be read: {error}") from error


def deviations(entry: ModelEntry) -> frozenset[str]:
    """The names, as in `NEUTRAL`, of all that decides pictures and is not neutral."""
    parts = [("vqgan.", entry.vqgan), *(("perceptor.", perceptor) for perceptor in entry.perceptors)]
    return frozenset(_differing(entry)) | {prefix + name for prefix, part in parts for name in _differing(part, prefix)}


def _vqgan(entry: VQGANEntry) -> dict[str, Any]:
    values = _differing(entry, "vqgan.")
    if entry.source is None:
        return values | {"config": file_sha256(entry.config_path)}
    return values | {"config": entry.source.config.sha256, "source": entry.source.checkpoint.sha256}


def _perceptor(entry: PerceptorEntry) -> dict[str, Any]:
    values = _differing(entry, "perceptor.")
    if entry.folder is not None:
        values["folder"] = file_sha256(entry.path / "open_clip_config.json")
        if entry.merges:
            # they decide the tokens of every text, and no checksum of the registry covers them.
            values["merges"] = file_sha256(entry.path / entry.merges)
        if entry.words:
            values["words"] = file_sha256(entry.path / entry.words)
    return values


def _differing(entry: BaseModel, prefix: str = "") -> dict[str, Any]:
    values = {name: value for name, value in fields_of(entry).items() if prefix + name not in NOT_IN_PICTURES | _PARTS}
    return differing(values, NEUTRAL, prefix)
