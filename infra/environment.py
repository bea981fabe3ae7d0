"""The environment of this process and of those that it starts: what Prefect and Ray are told before they are imported,
and what a person has told them. With infra/settings.py the only module that reads environment variables."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from infra.own_cluster import joining, own_cluster
from infra.own_prefect import key_for
from infra.private_files import private_folder
from infra.proxies import SET_ASIDE, VARIABLES, exempting, set_aside, unaskable
from infra.settings import InfraSettings, SettingsInvalid, load_settings
from manifests.masking import without_secrets
from renderers.user_paths import at_home

__all__ = [
    "LOG_DATE_FORMAT",
    "RAY_FOLDER_BYTES",
    "UP_FOLDER",
    "check_prefect_home",
    "child_environment",
    "exempt_loopback",
    "forget_head_patience",
    "given_for_runs",
    "given_ray_folder",
    "given_ray_token",
    "given_server_key",
    "guest_folders",
    "odd_token_file",
    "own_ray_folder",
    "prefect_api_url",
    "prefect_home",
    "prefect_may_know_a_server",
    "prepare_prefect",
    "proxy_for",
    "ray_environment",
    "ray_folder",
    "server_environment",
    "up_environment",
    "up_folder",
    "use_prefect_server",
    "variables_set",
    "widen_terminal",
]

_NARROWEST, _WIDEST = 40, 10_000  # columns of a terminal
# Longer ones leave no room for the names of Ray's sockets.
RAY_FOLDER_BYTES = 41
#: The folder of `nightreel up`, below Prefect's.
UP_FOLDER = "nightreel-up"
# How the processes of `nightreel up` write times into their logs, which flows/local/service_errors.py reads.
LOG_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
# For how long a driver, and a node of its own, puts up with a head that is away.
_HEAD_PATIENCE = ("RAY_gcs_rpc_server_reconnect_timeout_s", "604800")
# What Prefect's server removes by age: its default is events alone.
_VACUUM = "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"


# Settings of ours that are of this machine alone, or secret; and, of others, what runs elsewhere need and may be seen.
_NOT_FOR_RUNS = {"NIGHTREEL_NOTIFY_URL", "NIGHTREEL_LIVE_PAGE", "NIGHTREEL_LIVE_OUTPUTS", "NIGHTREEL_SERVER_AUTH",
                 "NIGHTREEL_SERVER_HOSTS"}  # fmt: skip
_FOR_RUNS = {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "RAY_AUTH_MODE"}


def given_for_runs() -> dict[str, str]:
    """Return the variables set here that flow runs on other machines should have too, none of them secret: of ours the
    settings there are, since a variable that only begins like them may hold anything."""
    ours = {f"NIGHTREEL_{name.upper()}" for name in InfraSettings.model_fields} - _NOT_FOR_RUNS
    return {name: value for name, value in sorted(os.environ.items()) if value and (name in _FOR_RUNS or name in ours)}


def prefect_api_url() -> str | None:
    """Return the Prefect server that this process was given, or None: then it starts its own.

    Raises:
        SettingsInvalid: it is no address of one; Prefect would end in the middle of its imports.
    """
    url = os.environ.get("PREFECT_API_URL") or None
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        why = "" if is_web and url.isprintable() and " " not in url else "it is no web address"
    except ValueError as error:
        why = str(error)
    if why:
        shown = without_secrets(url[:200])
        raise SettingsInvalid(
            f"PREFECT_API_URL='{shown}' names no server ({why}): write an address such as "
            "http://prefect.example:4200/api, or unset it"
        )
    return url


def use_prefect_server(url: str) -> None:
    """Have this process use the Prefect server at `url`, as if it had been given it; before Prefect is imported."""
    os.environ["PREFECT_API_URL"] = url


def prefect_home() -> Path:
    """Return Prefect's folder of this user, where its database is."""
    return at_home(os.environ.get("PREFECT_HOME") or "~/.prefect").absolute()


def prefect_may_know_a_server() -> bool:
    """Whether there are settings of Prefect's that only it reads: a profile, or a file of theirs in this folder."""
    if any(os.environ.get(name) for name in ("PREFECT_PROFILE", "PREFECT_PROFILES_PATH")):
        return True
    if (prefect_home() / "profiles.toml").exists() or any(Path(name).exists() for name in ("prefect.toml", ".env")):
        return True
    try:
        return b"tool.prefect" in Path("pyproject.toml").read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True


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
    own = {
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url,  # Prefect's own default is every origin there is
        # the UI that our links and forms lead to; a page of V2 that is left while it loads forgets the key that the
        # browser has, and its person is signed out
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
    }
    keys = {} if key is None else {"PREFECT_SERVER_API_AUTH_STRING": key, "PREFECT_API_AUTH_STRING": key}
    return {name: os.environ.get(name, value) for name, value in own.items()} | keys


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
    return prefect_home() / UP_FOLDER


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
        # a run that ended 90 days ago goes, with its task runs, logs and artifacts
        _VACUUM: os.environ.get(_VACUUM, "events,flow_runs"),
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
    by which the cluster of a `nightreel up` of this user is joined, if the address of ours or of Ray is that one's."""
    wanted = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "RAY_DEDUP_LOGS": "1",
        # a node ends itself whose agents do not answer for longer; on a busy machine Ray's own 30 s are short
        "RAY_agent_register_timeout_ms": "240000",
        # Ray would end a driver whose head is away, without a word of ours: infra/ray/head_watch.py decides instead
        _HEAD_PATIENCE[0]: _HEAD_PATIENCE[1],
        # Ray Train's: torch takes longer than 60 s to import on a cold, busy machine
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
        # processes and threads of its own that nobody here looks at
        "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
        "RAY_TRAIN_METRICS_ENABLED": "0",
    }
    if (folder := ray_folder()) is not None:
        wanted["RAY_TMPDIR"] = str(folder)
    exempt_loopback()
    wanted |= joining(up_folder(), os.environ.get("NIGHTREEL_RAY_ADDRESS") or os.environ.get("RAY_ADDRESS"))
    for name, value in wanted.items():
        os.environ.setdefault(name, value)
    return wanted


def forget_head_patience() -> None:
    """Leave it to Ray, or a person, for how long nodes that this process starts put up with a head that is away: what
    `ray_environment` says is right for drivers."""
    if os.environ.get(_HEAD_PATIENCE[0]) == _HEAD_PATIENCE[1]:
        del os.environ[_HEAD_PATIENCE[0]]


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


def guest_folders() -> list[Path]:
    """Return folders for the sockets and logs of a node that this process's driver starts on a cluster of other
    machines: any of them that nobody uses, below one that nobody else may enter.

    Raises:
        SettingsInvalid: somebody else has it.
    """
    own = own_ray_folder() or Path(given_ray_folder() or tempfile.gettempdir()) / "ray"
    return [own.with_name(f"g{number}") for number in range(100)]  # as short as Ray's own name


def exempt_loopback() -> None:
    """Have no proxy of the environment asked for what is on this machine: its servers are only here. Proxies that can't
    be asked are set aside, since libraries end a process over them; `proxy_for` still tells of them."""
    if not any(os.environ.get(name) for name in VARIABLES):
        return
    known = [name for name in ("NO_PROXY", "no_proxy") if os.environ.get(name)]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = exempting(os.environ[known[0]] if known else "")
    if aside := unaskable(os.environ):
        os.environ[SET_ASIDE] = json.dumps(aside)
        for name in aside:
            del os.environ[name]


def proxy_for(scheme: str, host: str) -> str | None:
    """Return the proxy that the environment names for addresses like `scheme://host`, also one that can't be asked."""
    found, aside = urllib.request.getproxies(), set_aside(os.environ)
    named = found.get(scheme) or aside.get(scheme) or found.get("all") or aside.get("all")
    return None if not named or urllib.request.proxy_bypass(host) else named


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


def widen_terminal() -> None:
    """Have help laid out for a terminal of some width: of none, or of any number of columns, it is an error, and in one
    it takes minutes."""
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal():
        os.environ["COLUMNS"] = str(min(max(int(given[:9]), _NARROWEST), _WIDEST))


def odd_token_file() -> str | None:
    """Return the file that AWS's variable names for a token, and that is none: botocore would wait at a pipe for ever,
    and read a device until no memory is left."""
    named = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
    is_odd = bool(named) and os.path.exists(named) and not os.path.isfile(named)  # noqa: PTH110, PTH113 - any text
    return named if is_odd else None
