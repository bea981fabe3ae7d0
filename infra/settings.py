"""Settings of this machine and cluster: the one module that reads the environment.

What is rendered is in the manifest; where and how fast is here. Every setting is an environment variable
`NIGHTREEL_<NAME>`, and command line options of the same name override it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from infra.own_cluster import joining, own_cluster
from infra.own_prefect import key_for
from infra.private_files import private_folder
from infra.storage.reading_policy import ReadingPolicy
from manifests.errors import ErrorKind, NightreelError

__all__ = [
    "LOG_DATE_FORMAT",
    "RAY_FOLDER_BYTES",
    "InfraSettings",
    "SettingsInvalid",
    "check_prefect_home",
    "child_environment",
    "exempt_loopback",
    "given_ray_folder",
    "given_ray_token",
    "given_server_key",
    "load_settings",
    "own_ray_folder",
    "prefect_api_url",
    "prefect_home",
    "prepare_prefect",
    "ray_environment",
    "ray_folder",
    "server_environment",
    "up_environment",
    "up_folder",
    "use_prefect_server",
    "variables_set",
]


# How the processes of `nightreel up` write times into their logs, which flows/local/service_errors.py reads.
LOG_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"


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
        None, description="Ray cluster to join (`auto` or host:port); unset: one of its own on this machine"
    )
    models_folder: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("nightreel") / "models",
        description="where your own and fetched models are; on a cluster a folder that every machine sees",
    )
    chunk_seconds: float = Field(
        120.0, gt=0, le=86_400, description="estimated seconds of work in one Prefect task run"
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
        return tuple(root if "://" in root else str(Path(root).expanduser().absolute()) for root in value)

    @field_validator("models_folder")
    @classmethod
    def _whole(cls, value: Path) -> Path:
        # absolute: it travels to processes that were started elsewhere
        return value.expanduser().absolute()

    @field_validator("notify_url")
    @classmethod
    def _a_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if not value.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("write http://... or https://...")
        return value

    @field_validator("cpus_per_actor", "gpus_per_actor")
    @classmethod
    def _as_ray_takes_it(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError("above 1 it must be a whole number, since Ray shares out no fractions of several")
        return value


_SECRET = {"notify_url"}
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
# Longer ones leave no room for the names of Ray's sockets.
RAY_FOLDER_BYTES = 41


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
        if field in _SECRET:
            # without its cause, which quotes the value
            raise SettingsInvalid(f"environment variable {name} (not shown here): {first['msg']}") from None
        raise SettingsInvalid(f"environment variable {name}={first['input']!r}: {first['msg']}") from error


def prefect_api_url() -> str | None:
    """Return the Prefect server that this process was given, or None: then it starts its own."""
    return os.environ.get("PREFECT_API_URL") or None


def use_prefect_server(url: str) -> None:
    """Have this process use the Prefect server at `url`, as if it had been given it; before Prefect is imported."""
    os.environ["PREFECT_API_URL"] = url


def prefect_home() -> Path:
    """Return Prefect's folder of this user, where its database is."""
    return Path(os.environ.get("PREFECT_HOME") or "~/.prefect").expanduser().absolute()


def check_prefect_home() -> Path:
    """Return Prefect's folder after a look at whether it can be written; it is made if need be.

    Raises:
        SettingsInvalid: it can't: Prefect would say so in two hundred lines.
    """
    home = prefect_home()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)  # of one that is there, the mode is its owner's choice
        with tempfile.TemporaryFile(dir=home):
            return home
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsInvalid(
            f"Prefect's folder '{home}' can't be written ({reason}): set PREFECT_HOME to a folder of yours"
        ) from error


def given_server_key() -> str | None:
    """Return the key that a person chose for Prefect's servers of this machine, by Prefect's own variable."""
    return os.environ.get("PREFECT_SERVER_API_AUTH_STRING") or None


def server_environment(url: str, key: str | None) -> dict[str, str]:
    """Return the variables by which the server at `url` asks for `key` and Prefect's client has it, and by which only
    that server's own pages may use it.

    An environment, unlike a command line, is read by its process's owner alone.
    """
    origins = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"  # Prefect's own default is every origin there is
    keys = {} if key is None else {"PREFECT_SERVER_API_AUTH_STRING": key, "PREFECT_API_AUTH_STRING": key}
    return {origins: os.environ.get(origins, url), **keys}


@contextmanager
def variables_set(wanted: Mapping[str, str]) -> Iterator[None]:
    """Have these variables in this process's environment until the block ends; those that were there come back.

    One by one: other threads use the environment meanwhile.
    """
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def child_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with `variables` on top."""
    return {**os.environ, **variables}


def up_folder() -> Path:
    """Return the folder of this user's `nightreel up`, beside Prefect's database."""
    return prefect_home() / "nightreel-up"


def up_environment(url: str, ray_address: str, *, own_ray: bool, key: str | None) -> dict[str, str]:
    """Return what the processes of `nightreel up` find in their environment.

    That is the server at `url` and the `key` that it asks for, the cluster at `ray_address` (`own_ray`: one that `up`
    starts), and long waits for a server that is being restarted.
    """
    wanted = server_environment(url, key) | {
        "PREFECT_API_URL": f"{url}/api",
        "PREFECT_UI_URL": url,
        # of the page's own origin, by whichever name of loopback it was opened: no other may use the API
        "PREFECT_UI_API_URL": "/api",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "NIGHTREEL_RAY_ADDRESS": ray_address,
        # waits of 2, 4, 8 ... s: a server that comes back within two minutes breaks no run
        "PREFECT_CLIENT_MAX_RETRIES": os.environ.get("PREFECT_CLIENT_MAX_RETRIES", "7"),
        # logs of weeks, in which Prefect's own times have no date
        "PREFECT_LOGGING_FORMATTERS_STANDARD_DATEFMT": LOG_DATE_FORMAT,
    }
    if own_ray:
        mode = os.environ.get("RAY_AUTH_MODE", "token")
        wanted |= own_cluster(up_folder(), ray_address, mode, own_token=not given_ray_token())
    return wanted


def ray_environment() -> dict[str, str]:
    """Variables that must be set before Ray is imported: no usage statistics, no banners, no colours in logs; and those
    by which the cluster of a `nightreel up` of this user is joined, if NIGHTREEL_RAY_ADDRESS is that one's."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DEDUP_LOGS": "1",
        # a node ends itself whose agents do not answer for longer; on a busy machine Ray's own 30 s are short
        "RAY_agent_register_timeout_ms": "240000",
        # Ray Train's: torch takes longer than 60 s to import on a cold, busy machine
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
        # processes and threads of its own that nobody here looks at
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
        "RAY_TRAIN_METRICS_ENABLED": "0",
    }
    if (folder := ray_folder()) is not None:
        wanted["RAY_TMPDIR"] = str(folder)
    exempt_loopback()
    wanted |= joining(up_folder(), os.environ.get("NIGHTREEL_RAY_ADDRESS"))
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    return wanted


def given_ray_folder() -> str | None:
    """Return the folder that a person chose for Ray's sockets, if one did."""
    return os.environ.get("RAY_TMPDIR") or None


def ray_folder() -> Path | None:
    """Return a short folder of this user's own for Ray's sockets, made if need be; None where the usual one will do.

    A socket's path has 107 bytes at most, of which Ray's own names take some 66: a TMPDIR such as batch systems give is
    too long for it.

    Raises:
        SettingsInvalid: the short folder is somebody else's.
    """
    usual = tempfile.gettempdir()
    if len(os.fsencode(usual)) <= RAY_FOLDER_BYTES or given_ray_folder():
        return None
    return _short_folder(Path(f"/tmp/nightreel-{os.getuid()}"))


def _short_folder(folder: Path) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    there = folder.lstat()  # not what a link of somebody else's leads to
    if there.st_uid != os.getuid() or not stat.S_ISDIR(there.st_mode):
        raise SettingsInvalid(
            f"'{folder}', where Ray's sockets go, is not yours: set RAY_TMPDIR to a folder of yours with a short name "
            f"({RAY_FOLDER_BYTES} bytes at most)"
        )
    return private_folder(folder)


def given_ray_token() -> bool:
    """Say whether a person chose Ray's token."""
    return bool({"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys())


def own_ray_folder() -> Path | None:
    """Return the folder for the sockets and logs of a Ray that is started here, below one that nobody else may enter:
    Ray opens the folder itself, and most of what it makes there, to everybody. None: a person chose one.

    Raises:
        SettingsInvalid: somebody else has it.
    """
    if given_ray_folder():
        return None
    name = f"nightreel-{os.getuid()}"
    usual = Path(tempfile.gettempdir()) / name
    return _short_folder(usual if len(os.fsencode(usual)) <= RAY_FOLDER_BYTES else Path("/tmp") / name) / "ray"


def exempt_loopback() -> None:
    """Have no proxy of the environment asked for what is on this machine: its servers are only here."""
    if not any(os.environ.get(name) for name in _PROXIES):
        return
    known = [name for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)]
    there = os.environ[known[0]].split(",") if known else []
    missing = [name for name in _LOOPBACK if name not in there and "*" not in there]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join([*there, *missing])


def prepare_prefect(*, quiet: bool) -> None:
    """Set Prefect's own variables before it is imported; whatever the user has set stays.

    `quiet` keeps its log off the terminal, where progress bars are; the server gets it all the same.

    Raises:
        SettingsInvalid: Prefect's folder can't be written.
    """
    check_prefect_home()
    wanted = {
        "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # 20 s do not suffice on a cold disk
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # a run that misses three of them is taken for dead: nine minutes, by the 180 s of Prefect itself
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(load_settings().heartbeat_seconds),
        # the recorder's defaults fall behind a flow of some hundred task runs (13-15/s; 49/s with these)
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    }
    exempt_loopback()
    if (key := key_for(prefect_api_url(), up_folder())) is not None:
        wanted["PREFECT_API_AUTH_STRING"] = key
    if quiet:
        wanted["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
