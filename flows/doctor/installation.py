"""The doctor's look at this installation: Python, PyTorch, GPUs, ffmpeg, the embedded models, folders and disks."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from flows.doctor.findings import Finding, examine
from infra.environment import RAY_FOLDER_BYTES, check_prefect_home, given_ray_folder
from infra.settings import InfraSettings, SettingsInvalid
from infra.video.ffmpeg import ffmpeg_version
from renderers.registry import Registry

__all__ = ["check_disk", "check_installation", "judge_hardware", "judge_ray_folder"]

TORCH = (2, 11)
GIB = 2**30
SCARCE, TOO_LITTLE = 5 * GIB, GIB // 2


def check_installation(settings: InfraSettings) -> Iterator[Finding]:
    """Everything that a render needs before it needs storage or a cluster."""
    yield Finding("installation", "ok", f"Python {platform.python_version()}")
    # one that breaks hides no other
    for check in (_hardware, _ffmpeg, _embedded, _models_folder, _prefect_home, _temporary_folder):
        yield from examine("installation", partial(check, settings))


def _hardware(settings: InfraSettings) -> Iterator[Finding]:
    from renderers.hardware import hardware  # torch takes seconds to import

    machine = hardware()
    yield from judge_hardware(machine.torch, machine.cuda, machine.gpus, machine.reason, settings.device)


def _temporary_folder(_: InfraSettings) -> Iterator[Finding]:
    yield judge_ray_folder(given_ray_folder(), tempfile.gettempdir())
    yield check_disk("temporary files", Path(tempfile.gettempdir()), shutil.disk_usage(tempfile.gettempdir()).free)


def _prefect_home(_: InfraSettings) -> Iterator[Finding]:
    """Whether Prefect's folder can be written: its settings and its database are there."""
    try:
        yield Finding("installation", "ok", f"Prefect's folder '{check_prefect_home()}' can be written")
    except SettingsInvalid as error:
        what, _colon, remedy = str(error).rpartition(": ")
        yield Finding("installation", "problem", what, remedy)


def judge_hardware(torch: str, cuda: str | None, gpus: tuple[str, ...], reason: str, device: str) -> Iterator[Finding]:
    """What to say of a `torch` built for `cuda` that sees these `gpus`, when the setting `device` asks for one."""
    numbers = tuple(int(part) for part in torch.split("+")[0].split(".")[:2])
    if numbers < TORCH:
        least = ".".join(map(str, TORCH))
        yield Finding("installation", "problem", f"PyTorch {torch} is too old", f"install torch>={least}")
    else:
        yield Finding("installation", "ok", f"PyTorch {torch}")
    if gpus:
        unused = ", unused since NIGHTREEL_DEVICE=cpu" if device == "cpu" else ""
        yield Finding("installation", "ok", f"GPU: {'; '.join(gpus)}{unused}")
    elif reason:
        yield Finding(
            "installation", "problem", f"there is a GPU, but PyTorch can't use it: {reason}",
            f"install a driver for CUDA {cuda}, or set NIGHTREEL_DEVICE=cpu",
        )  # fmt: skip
    elif device.startswith("cuda"):
        built = f"built for CUDA {cuda}" if cuda else "built without CUDA"
        yield Finding(
            "installation", "problem", f"NIGHTREEL_DEVICE={device}, but PyTorch ({built}) sees no GPU",
            "set NIGHTREEL_DEVICE=auto, or repair the driver (`nvidia-smi` must list the card)",
        )  # fmt: skip
    else:
        yield Finding("installation", "ok", "no GPU here: this machine renders on its CPU")


def judge_ray_folder(given: str | None, temporary: str) -> Finding:
    """Whether the names of Ray's sockets fit below the folder that it was `given`, or else that for temporary files."""
    folder, limit = given or temporary, RAY_FOLDER_BYTES
    length = len(os.fsencode(folder))
    if length <= limit:
        return Finding("installation", "ok", f"Ray's sockets fit below '{folder}'")
    if given:
        return Finding(
            "installation", "problem",
            f"RAY_TMPDIR '{given}' has {length} bytes; Ray's sockets leave room for {limit}",
            "set it to a folder with a shorter name, or unset it",
        )  # fmt: skip
    return Finding(
        "installation", "ok", f"TMPDIR has {length} bytes, more than the {limit} that Ray's sockets leave room for: "
        "they go to a short folder in /tmp",
    )  # fmt: skip


def check_disk(what: str, folder: Path, free: int) -> Finding:
    """Whether `free` bytes suffice where `folder` is."""
    room = f"{free / GIB:.1f} GiB free for {what} in '{folder}'"
    if free < TOO_LITTLE:
        return Finding("installation", "problem", f"only {room}", "make room, or choose another folder")
    if free < SCARCE:
        return Finding("installation", "warning", f"only {room}", "make room before a long job")
    return Finding("installation", "ok", room)


def _ffmpeg(_: InfraSettings) -> Iterator[Finding]:
    try:
        yield Finding("installation", "ok", f"ffmpeg {ffmpeg_version()}")
    except Exception as error:
        yield Finding("installation", "problem", f"ffmpeg: {error}", "install the package imageio-ffmpeg again")


def _embedded(_: InfraSettings) -> Iterator[Finding]:
    try:
        from renderers.models import load_models

        load_models(Registry().entry("embedded"), device="cpu", threads=1)
    except Exception as error:
        yield Finding(
            "installation", "problem", f"the embedded models do not load: {error}", "install nightreel again"
        )  # fmt: skip
        return
    yield Finding("installation", "ok", "the embedded models load")


def _models_folder(settings: InfraSettings) -> Iterator[Finding]:
    folder = settings.models_folder
    try:
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        yield Finding(
            "installation", "problem", f"the models folder '{folder}' can't be written: {error.strerror or error}",
            "set NIGHTREEL_MODELS_FOLDER to one that can",
        )  # fmt: skip
        return
    there = "" if folder == nearest else " (not there yet; made when a model is fetched)"
    yield Finding("installation", "ok", f"models folder '{folder}' is writable{there}")
    yield check_disk("models", folder, shutil.disk_usage(nearest).free)
