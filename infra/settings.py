"""Settings of this machine and cluster. What Prefect and Ray are told is in infra/environment.py.

What is rendered is in the manifest; where and how fast is here. Every setting is an environment variable
`NIGHTREEL_<NAME>`, and command line options of the same name override it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from infra.storage.reading_policy import ReadingPolicy
from manifests.errors import ErrorKind, NightreelError
from manifests.masking import has_secret, keep_secret
from renderers.user_paths import at_home

__all__ = ["InfraSettings", "SettingsInvalid", "load_settings"]


class SettingsInvalid(NightreelError):
    """An environment variable holds a value that is not allowed; the message names it."""

    kind = ErrorKind.ENVIRONMENT


class InfraSettings(BaseSettings):
    """Where it runs."""

    model_config = SettingsConfigDict(env_prefix="NIGHTREEL_", frozen=True, extra="ignore")

    actors: int | None = Field(
        None, ge=1, le=10_000, description="actors to render with; unset: what the cluster has room for"
    )
    gpus_per_actor: float = Field(
        1.0, gt=0, le=16, description="GPUs of one actor, fractions allowed; counts only where there are GPUs"
    )
    cpus_per_actor: float = Field(1.0, gt=0, le=256, description="CPUs that Ray reserves for one actor")
    threads: int = Field(
        1,
        ge=1,
        le=256,
        description="CPU threads of PyTorch in one actor; part of what makes frames repeatable, so keep it",
    )
    device: str = Field(
        "auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="torch device of the actors: auto, cpu, cuda"
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="numbers that actors compute in: auto (bfloat16 on a GPU that has it), float32, bfloat16"
    )
    graphs: bool = Field(
        True, description="have GPUs play steps from recordings (CUDA graphs): quicker, at the price of some memory"
    )
    batch: int | None = Field(
        None,
        ge=1,
        le=64,
        description="frames of several videos, or gaps between keyframes, that an actor renders in one pass; unset: up "
        "to 8 on a GPU, as many as its memory holds and as were measured to pay, 1 on a CPU, where frames come out bit "
        "for bit as they do alone",
    )
    ray_address: str | None = Field(
        default_factory=lambda: os.environ.get(RAY_ADDRESS),
        validate_default=True,
        description="Ray cluster to join, by its head (host:port), from any machine; `auto`: the one of this machine; "
        "`local` or unset: one of its own on this machine. Where it is unset, Ray's own RAY_ADDRESS counts",
    )
    head_seconds: float = Field(
        90.0,
        ge=10,
        le=86_400,
        description="seconds for which the head of the Ray cluster may be away before a run ends; a head with fault "
        "tolerance takes its run up again when it is back",
    )
    metrics_port: int | None = Field(
        None,
        ge=1024,
        le=65_535,
        description="port at which the node of its own that a command joins a cluster by serves the run's numbers to "
        "Prometheus; unset: any, which the cluster's head knows",
    )
    autoscaler: Literal["auto", "on", "off"] = Field(
        "auto",
        description="whether the Ray cluster adds nodes on demand: auto (Ray's autoscaler, version 2, is asked), on "
        "(it does, and can't be asked), off (only the nodes count that are there)",
    )
    node_seconds: float = Field(
        1800.0,
        ge=10,
        le=604_800,
        description="seconds for which a run waits for the first node that an autoscaler adds, before it ends",
    )
    models_folder: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("nightreel") / "models",
        description="where your own and fetched models are; on a cluster a folder that every machine sees, or, with "
        "NIGHTREEL_MODELS_SOURCE, one that each machine has for itself",
        json_schema_extra={"default_text": "~/.local/share/nightreel/models"},
    )
    models_source: str | None = Field(
        None,
        description="where `nightreel models publish` puts models, such as s3://bucket/models: each machine fetches "
        "those that it needs from there, once, into NIGHTREEL_MODELS_FOLDER",
    )
    chunk_seconds: float = Field(
        120.0, gt=0, le=86_400, description="estimated seconds of work in one Prefect task run"
    )
    videos_per_run: int = Field(
        20_000,
        ge=1,
        le=10_000_000,
        description="videos up to which a run renders its manifest itself; a larger one becomes several runs, each of "
        "at most so many: beside each other where a server started it, one after the other in a command",
    )
    planned_frames: int = Field(
        4_000_000,
        ge=1,
        le=1_000_000_000,
        description="frames of all videos of a job together; each takes up to a kilobyte of memory while it is planned "
        "and rendered, and rows beyond are refused",
    )
    attempts: int = Field(
        3,
        ge=1,
        le=100,
        description="tries of a frame that fails by itself, on two workers at least where there are two",
    )
    lost_worker_attempts: int = Field(20, ge=1, le=1000, description="tries of a frame whose worker was lost under it")

    stall_seconds: float = Field(
        900.0, gt=0, le=86_400, description="seconds without a step after which a worker is restarted"
    )
    worker_strikes: int = Field(
        3, ge=1, le=1000, description="frames that a worker may fail and another render, before it is quarantined"
    )
    forgive_seconds: float = Field(3600.0, gt=0, description="seconds for which such a worker is quarantined")
    failure_share: float = Field(
        0.2, gt=0, le=1, description="share of a job's frames (or 20, if that is more) past which it gives up"
    )
    review_likeness_below: float | None = Field(
        None, ge=-1, le=1, description="review.likeness_below of rows that have none: see the manifest's columns"
    )
    review_flicker_above: float | None = Field(
        None, ge=0, le=255, description="review.flicker_above of rows that have none"
    )
    review_sharpness_below: float | None = Field(
        None, ge=0, le=1_000_000, description="review.sharpness_below of rows that have none"
    )
    review_judge: str | None = Field(
        None, min_length=1, max_length=200, description="review.judge of rows, and of their models, that have none"
    )
    notify_url: SecretStr | None = Field(
        None, description="webhook that is called when a run ends or a night does not begin, with JSON; kept secret"
    )
    late_minutes: float = Field(
        10.0, ge=1, le=1440, description="minutes for which a scheduled night may be late before that is reported"
    )
    heartbeat_seconds: int = Field(
        60, ge=30, le=3600, description="seconds between a flow run's signs of life; after three without, it crashed"
    )
    crash_restarts: int = Field(
        5, ge=0, le=100, description="starts of a flow run up to which the server starts it again after a crash"
    )
    read_roots: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="folders and prefixes of buckets, separated by commas, below which rows may name pictures in a run "
        "that a server started, beside the manifest's folder and the output; a command reads any regular file",
    )
    read_private_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="names, addresses and networks, separated by commas, from which pictures are read although they "
        "are private: files.lan,127.0.0.1,10.0.0.0/8",
    )
    read_megabytes: float = Field(
        64.0,
        gt=0,
        le=100_000,
        description="the most that is read of one picture, or of one text that a manifest is made of",
    )
    read_film_megabytes: float = Field(
        10_000.0,
        gt=0,
        le=1_000_000,
        description="the most that is read of one film, or of one zip of pictures, that a row is drawn over",
    )
    read_seconds: float = Field(
        30.0,
        gt=0,
        le=86_400,
        description="seconds that a web server has for one picture, its redirects included",
    )
    live_page: str | None = Field(
        None, description="address of a live page that shows this machine's runs; `nightreel up` sets it"
    )
    live_outputs: Path | None = Field(
        None, description="folder in which runs note their outputs for that page; `nightreel up` sets it"
    )

    server_auth: bool = Field(
        True,
        description="Prefect's server of `up` and of commands asks for its key; false only for `up` behind a proxy of "
        "your own that asks who comes: every account of this machine then reads runs and starts them",
    )
    server_hosts: str = Field(
        "",
        description="names besides those of loopback by which people reach `up`'s server, such as that of a proxy in "
        "front of it; comma-separated",
    )

    def reading(self, below: Iterable[str] | None = None) -> ReadingPolicy:
        """Return what rows may read: any regular file, or, where `below` is given, what lies below these folders and
        the configured ones."""
        return ReadingPolicy(
            roots=None if below is None else (*below, *self.read_roots),
            private_hosts=self.read_private_hosts,
            most_bytes=round(self.read_megabytes * 1e6),
            film_bytes=round(self.read_film_megabytes * 1e6),
            seconds=self.read_seconds,
            idle_seconds=min(ReadingPolicy.idle_seconds, self.read_seconds),
        )

    @field_validator("read_roots", "read_private_hosts", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("read_roots")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(root if "://" in root else str(at_home(root).absolute()) for root in value)

    @field_validator("models_folder")
    @classmethod
    def _whole(cls, value: Path) -> Path:
        # absolute: it travels to processes that were started elsewhere
        return at_home(value).absolute()

    @field_validator("models_source")
    @classmethod
    def _without_secret(cls, value: str | None) -> str | None:
        if value and has_secret(value):
            raise ValueError("write it without credentials, which belong into the environment (AWS_ACCESS_KEY_ID, ...)")
        return (value if "://" in value else str(at_home(value).absolute())) if value else None

    @field_validator("notify_url")
    @classmethod
    def _a_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("write http://... or https://...")
        keep_secret(value.get_secret_value())
        return value

    @field_validator("ray_address")
    @classmethod
    def _of_a_head(cls, value: str | None) -> str | None:
        value = (value or "").strip()
        if value == "auto":  # as Ray itself reads it
            value = (os.environ.get(RAY_ADDRESS) or "auto").strip()
        if value in ("", "local"):
            return None
        if value.startswith("ray://"):
            raise ValueError(
                "ray:// is the address of Ray Client, which passes every call through one process and ends the run "
                "with it: write the address of the cluster's head instead, host:port (port 6379 unless it was started "
                "with another); a machine without a Ray node joins by itself. NIGHTREEL_RAY_ADDRESS=local renders on "
                "this machine alone"
            )
        host, _, port = value.rpartition(":")
        if value != "auto" and (not host or "/" in value or not port.isdecimal() or not 0 < int(port) < 65_536):
            raise ValueError(
                "write the head of a Ray cluster as host:port, such as head.example:6379, or auto, or local"
            )
        return value

    @field_validator("cpus_per_actor", "gpus_per_actor")
    @classmethod
    def _as_ray_takes_it(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("above 1 it must be a whole number, since Ray shares out no fractions of several")
        return value


_SECRET = {"notify_url"}
#: Ray's own variable for what is ours where ours is unset: whoever submits a job to a cluster is given it.
RAY_ADDRESS = "RAY_ADDRESS"


@cache
def load_settings() -> InfraSettings:
    """Return the settings of this process.

    Raises:
        SettingsInvalid: a variable holds a value that is not allowed.
    """
    try:
        return InfraSettings()
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        name = "NIGHTREEL_" + field.upper()
        if field == "ray_address" and not os.environ.get(name, "").strip().replace("auto", ""):
            name = RAY_ADDRESS
        if field in _SECRET:
            # without its cause, which quotes the value
            raise SettingsInvalid(f"environment variable {name} (not shown here): {first['msg']}") from None
        given = os.environ.get(name, first["input"])
        raise SettingsInvalid(f"environment variable {name}={given!r}: {first['msg']}") from error
