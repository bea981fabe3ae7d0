"""Our image, built and run: `python -m tests.end_to_end.image [FOLDER]` (`make test-image`).

buildah makes the node for machines without a GPU from our Dockerfile and the lock, on a Debian that mmdebstrap makes:
no registry of images is asked. In it, as user 1000 and by its entry point: the version, the doctor, a picture that
is the same byte for byte as outside, and a manifest rendered on a Ray head that its own health check calls well. Exit
code 0 if all of it went well. Needs root, a network, Debian's buildah and mmdebstrap, and 40 GB of disk in FOLDER, in
which nothing is left; without them it says what is lacking and ends with 0, since nothing was found to be wrong.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers.root import ROOT

NEEDED_BYTES = 40e9
IMAGE, BASE = "localhost/nightreel:test", "localhost/nightreel-base:test"
IMAGE_FOLDER = "infra/deploy/image"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")  # of this machine, which may trust a mirror's own
PICTURE = ("preview", "a red apple", "--seed", "2", "--steps", "0.2")
ROWS = """\
- {video_id: apple, prompt: a red apple, frames: 3, steps_first: 4, steps: 2, zoom: 1.02}
- {video_id: pear, prompt: a green pear, steps_first: 4}
"""
# What containers of a cluster do: a head, by the entry point, asked as Docker asks, and a run that joins it.
RENDER = """\
set -euo pipefail
export RAY_AUTH_TOKEN_PATH=$HOME/token NIGHTREEL_RAY_ADDRESS=127.0.0.1:$1
umask 077; head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n' > "$RAY_AUTH_TOKEN_PATH"
python -m infra.ray.start --head --block --port="$1" --node-ip-address=127.0.0.1 --num-cpus=2 --num-gpus=0 \
    --include-dashboard=false --dashboard-agent-listen-port=52365 --object-store-memory=200000000 > head.log 2>&1 &
head=$!
trap 'kill "$head" 2>/dev/null; wait "$head" 2>/dev/null || true' EXIT
for _ in $(seq 120); do
    if health.py ray >health.log; then break; fi
    kill -0 "$head" || { cat head.log; exit 1; }
    sleep 2
done
health.py ray || { cat health.log; exit 1; }
cat > rows.yaml; nightreel manifest build rows.yaml -o rows.parquet
nightreel render rows.parquet --output out
nightreel status out --all
ls -l out/apple/video.mp4 out/pear/video.png out/report/index.html
"""


class Image:
    """The image, in a storage of its own below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.container = ""
        (folder / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')

    def buildah(self, command: str, *arguments: str, given: str | None = None) -> str:
        """Run one of buildah's commands, whose messages go to our stderr; return what it says on stdout."""
        driver = os.environ.get("STORAGE_DRIVER", "overlay")  # vfs where there is none: it copies each layer
        places = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]
        done = subprocess.run(
            ["nice", "-n", "15", "buildah", *places, "--storage-driver", driver, command, *arguments],
            env=os.environ | {"BUILDAH_ISOLATION": "chroot"}, cwd=ROOT, input=given, stdout=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"buildah {command} ended with {done.returncode}:\n{done.stdout[-8000:]}")
        return done.stdout

    def run(self, *command: str, given: str | None = None) -> str:
        """Run a command as the image's user, through its entry point; return what it says on stdout."""
        entry = ["tini", "-s", "-g", "--", "entrypoint.sh"]
        return self.buildah("run", "--user", "1000:1000", self.container, "--", *entry, *command, given=given)

    def close(self) -> None:
        """Take the containers out of the storage, which can be removed then: nothing of it is mounted any more."""
        self.buildah("rm", "--all")


def lacking(folder: Path) -> str:
    """What this machine lacks for it, '' if nothing."""
    if missing := [it for it in ("buildah", "mmdebstrap") if shutil.which(it) is None]:
        return f"Debian's {' and '.join(missing)}"
    if os.geteuid() != 0:
        return "root"
    free = shutil.disk_usage(folder).free
    return f"disk: {free / 1e9:.0f} GB of {NEEDED_BYTES / 1e9:.0f} in '{folder}'" if free < NEEDED_BYTES else ""


def makes_a_base(image: Image) -> None:
    root = image.folder / "rootfs.tar"
    trust = [f"--customize-hook=copy-in {AUTHORITIES} {AUTHORITIES.parent}"] if AUTHORITIES.exists() else []
    include = "--include=python3,python3-venv,ca-certificates"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", include, *trust, "bookworm", root], check=True)
    container = image.buildah("from", "scratch").strip()
    image.buildah("add", "--quiet", container, str(root), "/")
    image.buildah("commit", "--quiet", "--rm", container, BASE)
    root.unlink()


def builds(image: Image) -> None:
    secrets = []
    for name, text in (("pip", pip_settings()), ("uv", uv_settings())):
        path = image.folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        secrets += ["--secret", f"id={name},src={path}"]
    began = time.monotonic()
    image.buildah(
        "bud", "--format", "docker", "--signature-policy", str(image.folder / "policy.json"), "--pull-never",
        "--layers=false", "--build-arg", f"BASE={BASE}", "--build-arg", "VARIANT=cpu", *secrets,
        "--ignorefile", f"{IMAGE_FOLDER}/Dockerfile.dockerignore", "--file", f"{IMAGE_FOLDER}/Dockerfile",
        "--tag", IMAGE, ".",
    )  # fmt: skip
    size = image.buildah("images", "--noheading", "--format", "{{.Size}}", IMAGE).strip()
    print(f"built in {time.monotonic() - began:.0f} s: {size}")
    image.container = image.buildah("from", "--pull-never", IMAGE).strip()


def pip_settings() -> str:
    """As this machine's pip is set up; a secret of the build, which leaves no trace in the image."""
    there = Path("/etc/pip.conf")
    return there.read_text() if there.exists() else "[global]\n"


def uv_settings() -> str:
    """As this machine's uv is set up, likewise; it trusts whom the base trusts."""
    there = [it for it in (Path.home() / ".config/uv/uv.toml", Path("/etc/uv/uv.toml")) if it.exists()]
    text = there[0].read_text() if there else ""
    if index := os.environ.get("UV_DEFAULT_INDEX"):
        text = f'index-url = "{index}"\n{text}'
    return text if "native-tls" in text else f"native-tls = true\n{text}"


def starts_as_an_ordinary_user(image: Image) -> None:
    said = image.run("bash", "-c", "id -u; nightreel --version")
    assert said.split()[0] == "1000", said
    print(said.strip().replace("\n", ", user and version: "))


def keeps_no_trace_of_the_mirror(image: Image) -> None:
    found = image.run("bash", "-c", "ls -d /etc/pip.conf /etc/uv /uv /src 2>/dev/null || true")
    assert not found.strip(), found


def passes_doctor(image: Image) -> None:
    print(image.run("nightreel", "doctor", "--output", "/home/nightreel/looked-at"))


def draws_what_is_drawn_outside(image: Image) -> None:
    here = image.folder / "here.png"
    command = [str(ROOT / ".venv/bin/nightreel"), *PICTURE, "-o", str(here)]
    subprocess.run(command, check=True, cwd=image.folder, env=os.environ | {"OMP_NUM_THREADS": "1"})
    image.run("nightreel", *PICTURE, "-o", "there.png")
    there = image.run("sha256sum", "/home/nightreel/there.png").split()[0]
    assert there == hashlib.sha256(here.read_bytes()).hexdigest()


def renders_a_manifest_on_its_ray(image: Image) -> None:
    from infra.ports import free_port

    print(image.run("bash", "-c", RENDER, "render", str(free_port()), given=ROWS))


PARTS: tuple[Callable[[Image], None], ...] = (
    makes_a_base, builds, starts_as_an_ordinary_user, keeps_no_trace_of_the_mirror, passes_doctor,
    draws_what_is_drawn_outside, renders_a_manifest_on_its_ray,
)  # fmt: skip


def main(arguments: list[str]) -> int:
    """Do all of it, and say how each part went."""
    above = Path(arguments[0] if arguments else tempfile.gettempdir())
    if lack := lacking(above):
        print(f"the image was not built: this machine lacks {lack}")
        return 0
    with tempfile.TemporaryDirectory(prefix="nightreel-image-", dir=above) as name:
        image = Image(Path(name))
        try:
            for part in PARTS:
                print(f"{part.__name__.replace('_', ' ')} ...", flush=True)
                began = time.monotonic()
                part(image)
                print(f"{part.__name__.replace('_', ' ')}: {time.monotonic() - began:.0f} s", flush=True)
        finally:
            image.close()
    print("the image is good")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
