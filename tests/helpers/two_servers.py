"""Prefect as infra/deploy/compose/compose.yaml has it, on loopback: PostgreSQL, Redis, two API servers behind nginx,
and the services in a process of their own.

Settings, secrets, entrypoint and the proxy's file are the shipped ones; names of containers and places of files are
exchanged, and nothing else."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from infra.ports import free_ports
from tests.helpers.root import ROOT

__all__ = ["TwoServers", "running_two_servers", "what_is_missing"]

DEPLOY = ROOT / "infra" / "deploy"
PATIENCE = 120.0  # seconds until a process answers


def _postgres() -> Path | None:
    """The folder of PostgreSQL's programs: Debian puts the server's on no PATH."""
    found = shutil.which("initdb")
    folders = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        *([Path(found).parent] if found else []),
    ]
    wanted = ("initdb", "postgres", "pg_isready", "createdb")
    return next((folder for folder in folders if all((folder / name).exists() for name in wanted)), None)


def what_is_missing() -> str:
    """Why these servers can't be started here; '' if they can."""
    missing = [name for name in ("redis-server", "nginx", "openssl") if shutil.which(name) is None]
    missing += [] if _postgres() is not None else ["PostgreSQL's server"]
    return f"{', '.join(missing)} not installed (Debian: postgresql, redis-server, nginx-light)" if missing else ""


@dataclass
class TwoServers:
    """`url` is the proxy's, `certificate` the file that vouches for it, `key` what Prefect asks for; `servers` are the
    processes of the two API servers."""

    url: str
    certificate: Path
    key: str
    servers: list[subprocess.Popen[bytes]]
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to know in order to use them: as compose.yaml gives it to nodes."""
        return {
            "PREFECT_API_URL": f"{self.url}/api",
            "PREFECT_API_AUTH_STRING": self.key,
            "PREFECT_API_SSL_CERT_FILE": str(self.certificate),
            "PREFECT_CLIENT_MAX_RETRIES": "7",
        }

    def client(self) -> httpx.Client:
        """A client of the API, by way of the proxy."""
        user, _, password = self.key.partition(":")
        return httpx.Client(
            base_url=f"{self.url}/api", auth=(user, password), verify=str(self.certificate), timeout=60,
            transport=httpx.HTTPTransport(verify=_context(self.certificate), retries=3),
        )  # fmt: skip

    def kill_one(self) -> None:
        """SIGKILL to one of the two API servers, and to its children."""
        _kill(self.servers[0])


def _context(certificate: Path) -> object:
    import ssl

    return ssl.create_default_context(cafile=str(certificate))


@contextmanager
def running_two_servers(folder: Path) -> Iterator[TwoServers]:
    """All of it, with its data in `folder`."""
    secrets = folder / "secrets"
    subprocess.run([DEPLOY / "secrets.sh", secrets], check=True, capture_output=True)
    subprocess.run([DEPLOY / "certificates.sh", secrets / "tls", "127.0.0.1", "localhost"], check=True,
                   capture_output=True)  # fmt: skip
    database, redis, one, two, proxy = free_ports(5)
    with ExitStack() as stack:
        stack.enter_context(_database(folder, secrets, database))
        stack.enter_context(_redis(folder, secrets, redis))
        environment = _environment(secrets, folder, database, redis)
        _prefect(environment, folder, ["database", "upgrade", "-y"]).wait(300)
        servers = []
        for port in (one, two):
            server = _prefect(environment, folder, ["start", "--host", "127.0.0.1", "--port", str(port),
                                                    "--no-services"], f"api-{port}")  # fmt: skip
            stack.callback(_kill, server)
            servers.append(server)
        services = _prefect(environment, folder, ["services", "start"], "services")
        stack.callback(_kill, services)
        for port, server in zip((one, two), servers, strict=True):
            _wait_for(f"http://127.0.0.1:{port}/api/health", server, folder / f"api-{port}.log")
        stack.enter_context(_proxy(folder, secrets, proxy, (one, two)))
        key = (secrets / "prefect_auth").read_text()
        yield TwoServers(f"https://localhost:{proxy}", secrets / "tls" / "ca.crt", key, servers, folder)


def _environment(secrets: Path, folder: Path, database: int, redis: int) -> dict[str, str]:
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    shipped = {name: str(value) for name, value in compose["x-server"]["environment"].items()}
    docket = secrets / "docket_url"
    address = docket.read_text().replace("@redis:6379", f"@127.0.0.1:{redis}")
    docket.chmod(0o600)
    docket.write_text(address)
    here = {name: value.replace("/run/secrets", str(secrets)) for name, value in shipped.items()}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTREEL_"))}
    return clean | here | {
        "PREFECT_SERVER_DATABASE_HOST": "127.0.0.1", "PREFECT_SERVER_DATABASE_PORT": str(database),
        "PREFECT_REDIS_MESSAGING_HOST": "127.0.0.1", "PREFECT_REDIS_MESSAGING_PORT": str(redis),
        "PREFECT_HOME": str(folder / "prefect"),
    }  # fmt: skip


def _prefect(
    environment: Mapping[str, str], folder: Path, arguments: Sequence[str], name: str = "upgrade"
) -> subprocess.Popen[bytes]:
    """A process of Prefect's server, by way of the image's entrypoint."""
    command = [DEPLOY / "image" / "entrypoint.sh", sys.executable, "-m", "prefect", "server", *arguments]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(command, env=dict(environment), stdout=log, stderr=log, start_new_session=True)


@contextmanager
def _database(folder: Path, secrets: Path, port: int) -> Iterator[None]:
    programs, data = _postgres(), folder / "postgres"
    assert programs is not None
    data.mkdir()
    as_whom: list[str] = []
    if os.getuid() == 0:  # it refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(data, user.pw_uid, user.pw_gid)
        for path in (folder, *folder.parents):
            with suppress(PermissionError):
                path.chmod(path.stat().st_mode | 0o011)  # it has to get there
        as_whom = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--"]
    password = data.with_name("postgres_password")
    password.write_text((secrets / "postgres_password").read_text())
    password.chmod(0o644)
    made = [programs / "initdb", "-D", data, "-U", "prefect", "--auth=scram-sha-256", f"--pwfile={password}"]
    subprocess.run([*as_whom, *made], check=True, capture_output=True)
    password.unlink()
    command = [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    with (folder / "postgres.log").open("wb") as log:
        server = subprocess.Popen([*as_whom, *command], stdout=log, stderr=log, start_new_session=True)
    try:
        ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
        _until(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, server,
               folder / "postgres.log")  # fmt: skip
        create = [programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "prefect"]
        held = {**os.environ, "PGPASSWORD": (secrets / "postgres_password").read_text()}
        subprocess.run(create, check=True, capture_output=True, env=held)
        yield
    finally:
        server.send_signal(signal.SIGINT)  # at once, and in order
        with suppress(subprocess.TimeoutExpired):
            server.wait(30)
        _kill(server)


@contextmanager
def _redis(folder: Path, secrets: Path, port: int) -> Iterator[None]:
    data = folder / "redis"
    data.mkdir()
    command = ["redis-server", secrets / "redis.conf", "--port", str(port), "--bind", "127.0.0.1", "--dir", data]
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    ping = ["redis-cli", "-p", str(port), "ping"]
    try:
        _until(lambda: b"NOAUTH" in subprocess.run(ping, capture_output=True, check=False).stdout, server,
               folder / "redis.log")  # fmt: skip
        yield
    finally:
        _kill(server)


@contextmanager
def _proxy(folder: Path, secrets: Path, port: int, servers: Sequence[int]) -> Iterator[None]:
    shipped = (DEPLOY / "compose" / "proxy.conf").read_text()
    behind = "".join(f"server 127.0.0.1:{it} max_fails=2 fail_timeout=5s;\n" for it in servers)
    text, changed = shipped, {
        r"server api:4200 resolve .*": behind,
        r"resolver .*": "",
        r"listen 4443": f"listen 127.0.0.1:{port}",
        r"/run/secrets/tls_cert": str(secrets / "tls" / "node.crt"),
        r"/run/secrets/tls_key": str(secrets / "tls" / "node.key"),
        r"pid .*": f"pid {folder / 'nginx.pid'};",
    }  # fmt: skip
    for pattern, put in changed.items():
        text, count = re.subn(pattern, lambda _, put=put: put, text)  # type: ignore[misc]
        assert count == 1, pattern
    config = folder / "nginx.conf"
    config.write_text(text)
    command = ["nginx", "-c", config, "-e", folder / "nginx.log", "-g", "daemon off;"]
    with (folder / "proxy.log").open("wb") as log:
        proxy = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        verify = _context(secrets / "tls" / "ca.crt")

        def answers() -> bool:
            with suppress(httpx.HTTPError):
                return httpx.get(f"https://localhost:{port}/api/health", verify=verify).is_success  # type: ignore[arg-type]
            return False

        _until(answers, proxy, folder / "nginx.log")
        yield
    finally:
        _kill(proxy)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    def answers() -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(url).status_code < 500
        return False

    _until(answers, process, log)


def _until(ready: object, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not ready():  # type: ignore[operator]
        assert process.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < end, log.read_text()[-4000:]
        time.sleep(0.2)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
