"""The files of a model of the registry: fetched and made ready, and checked.

The registry says what they are and where they come from, `infra.models.downloads` brings them, `renderers.models`
reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from infra.models.downloads import DownloadFailed, OnProgress, download
from renderers.checksums import file_sha256
from renderers.errors import BadInput, FetchFailed, ModelFilesBroken
from renderers.registry import DepthEntry, ModelEntry, PerceptorEntry, RemoteFile, not_fetched
from renderers.registry.installed_depth import verified_loader

__all__ = ["FileCheck", "fetch_model", "missing_files", "verify_model"]

State = Literal["ok", "missing", "damaged"]
# Called with each file's name before it comes; returns what is called with its progress.
OnFile = Callable[[str], OnProgress]


@dataclass(frozen=True)
class FileCheck:
    """What was found of one file. `needed` is False where the model works without it."""

    file: str
    state: State
    detail: str = ""
    needed: bool = True


def fetch_model(entry: ModelEntry, *, on_file: OnFile | None = None, discard: bool = False) -> None:
    """Have all files of `entry` in the models folder, checked and converted. What is there already is used as it is,
    also what somebody put there by hand. `discard` removes the checkpoint once it is converted.

    Raises:
        FetchFailed: a file can't be had; the message says which to put where.
        ModelFilesBroken: a file is not what it should be.
    """
    on_file = on_file or (lambda name: lambda done, total: None)
    source, place = entry.vqgan.source, entry.vqgan
    if source is not None:
        _fetch(entry, source.config, place.config_path, on_file)
        if _converted(entry) != "ok":
            _fetch(entry, source.checkpoint, place.checkpoint_path, on_file)
            on_file(f"{entry.name}: converting to {place.weights_path.name}")(0, None)
            _convert(entry)
        if discard:
            place.checkpoint_path.unlink(missing_ok=True)
    for perceptor in entry.perceptors:
        if perceptor.pretrained is not None:
            from renderers.models.perceptor.open_clip_tags import find_tag  # torch takes seconds to import

            on_file(f"{entry.name}: {perceptor.label}")(0, None)
            find_tag(str(perceptor.architecture), perceptor.pretrained).fetch(perceptor.cache_path)


def _fetch(entry: ModelEntry, file: RemoteFile, target: Path, on_file: OnFile) -> None:
    progress = on_file(f"{entry.name}: {target.name}")
    try:
        download(file.urls, target, sha256=file.sha256, size=file.size_bytes, on_progress=progress)
    except DownloadFailed as error:
        raise FetchFailed(f"{error}\n{not_fetched(entry)}") from error


def _convert(entry: ModelEntry) -> None:
    from renderers.models import VQGANConfig, check_config
    from renderers.models.checkpoint.conversion import convert_checkpoint

    place = entry.vqgan
    check_config(entry, VQGANConfig.read(place.config_path))
    convert_checkpoint(place.checkpoint_path, place.config_path, place.weights_path)


def _converted(entry: ModelEntry) -> State:
    """What is to be said of the weights that were made of a source's checkpoint."""
    from renderers.models.checkpoint.conversion import recorded

    place = entry.vqgan
    if place.source is None or not place.weights_path.is_file():
        return "missing"
    made = recorded(place.record_path, place.source.checkpoint.sha256)
    return "ok" if made is not None and file_sha256(place.weights_path) == made else "damaged"


def verify_model(entry: ModelEntry) -> tuple[FileCheck, ...]:
    """Compare every file of `entry` with what the registry vouches for."""
    place, source = entry.vqgan, entry.vqgan.source
    if source is None:
        checks = [_check(place.weights_path, place.sha256), _check(place.config_path, None)]
    else:
        converted = _converted(entry)
        detail = "" if converted == "ok" else f"made by `nightreel models fetch {entry.name}`"
        checks = [
            _check(place.config_path, source.config.sha256),
            FileCheck(str(place.weights_path), converted, detail),
        ]
        if place.checkpoint_path.exists() or converted != "ok":
            checks.append(_check(place.checkpoint_path, source.checkpoint.sha256, needed=converted != "ok"))
    for perceptor in entry.perceptors:
        checks += _check_perceptor(perceptor)
    if entry.depth is not None:
        checks += _check_depth(entry, entry.depth)
    return tuple(checks)


def missing_files(entry: ModelEntry) -> tuple[str, ...]:
    """Name the files that a renderer needs and that are not there; whether those that are there are whole is not looked
    at, which takes a minute for each gigabyte."""
    place = entry.vqgan
    wanted = [place.config_path, place.weights_path]
    for perceptor in entry.perceptors:
        if perceptor.pretrained is None:
            wanted.append(perceptor.weights_path)
            wanted += [perceptor.path / "open_clip_config.json"] if perceptor.folder is not None else []
    depth = entry.depth
    if depth is not None and depth.path is not None:
        wanted += [depth.path / name for name in depth.files]
    missing = [str(path) for path in wanted if not path.is_file()]
    if depth is not None and (lack := _lacking_loader(entry, depth)):
        missing.append(lack)
    if not missing:  # it takes seconds to look for the others
        checks = [_find_tag(perceptor) for perceptor in entry.perceptors if perceptor.pretrained is not None]
        missing = [label for label in checks if label]
    return tuple(missing)


def _lacking_loader(entry: ModelEntry, depth: DepthEntry) -> str:
    """Why the code of a depth model can't be used on this machine; '' if it can."""
    try:
        verified_loader(depth, entry.name)
    except ModelFilesBroken as error:
        return str(error)
    return ""


def _check_depth(entry: ModelEntry, depth: DepthEntry) -> list[FileCheck]:
    lack = _lacking_loader(entry, depth)
    checks = [FileCheck(f"depth loader {depth.loader} {depth.version}", "missing" if lack else "ok", lack)]
    return checks + [_check(depth.path / name, sha) for name, sha in depth.files.items() if depth.path is not None]


def _find_tag(perceptor: PerceptorEntry) -> str:
    """The perceptor's name if its weights are not in its folder, '' if they are."""
    from renderers.models.perceptor.open_clip_tags import find_tag

    found = find_tag(str(perceptor.architecture), str(perceptor.pretrained)).cached(perceptor.cache_path)
    return "" if found is not None else f"{perceptor.label} below {perceptor.cache_path}"


def _check_perceptor(perceptor: PerceptorEntry) -> list[FileCheck]:
    if perceptor.pretrained is not None:
        return [_check_tag(perceptor)]
    checks = [_check(perceptor.weights_path, perceptor.sha256)]
    if perceptor.folder is not None:
        checks += [_check(perceptor.path / name, None) for name in perceptor.files]
    return checks


def _check_tag(perceptor: PerceptorEntry) -> FileCheck:
    from renderers.models.perceptor.open_clip_tags import find_tag

    try:
        tag = find_tag(str(perceptor.architecture), str(perceptor.pretrained))
        path = tag.cached(perceptor.cache_path)
        if path is None:
            return FileCheck(perceptor.label, "missing", tag.instructions(perceptor.cache_path))
        tag.check(path)
    except (BadInput, ModelFilesBroken) as error:
        return FileCheck(perceptor.label, "damaged", str(error))
    return FileCheck(str(path), "ok")


def _check(path: Path, sha256: str | None, *, needed: bool = True) -> FileCheck:
    """`sha256` None: no checksum is known, it has to be there."""
    if not path.is_file():
        return FileCheck(str(path), "missing", f"SHA-256 {sha256}" if sha256 else "", needed)
    found = file_sha256(path)
    if sha256 not in (None, found):
        return FileCheck(str(path), "damaged", f"SHA-256 {found}, the registry vouches for {sha256}", needed)
    return FileCheck(str(path), "ok", "", needed)
