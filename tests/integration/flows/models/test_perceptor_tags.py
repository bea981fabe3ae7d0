"""Weights under open_clip's tags: fetched by huggingface_hub into the models folder, from a hub on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from tests.helpers.file_server import file_server
from tests.helpers.random_model import CLIP_CONFIG
from tests.helpers.root import ROOT

# In a process of its own: huggingface_hub reads the address of its hub when it is imported.
PROGRAM = """
import json, sys, time
from pathlib import Path
import open_clip
from open_clip.pretrained import _PRETRAINED
from renderers.errors import ModelFilesBroken
from renderers.models import Perceptor
from renderers.models.perceptor.open_clip_tags import find_tag
from renderers.registry import PerceptorEntry

time.sleep = lambda seconds: None  # huggingface_hub asks a hub that is away five times, later and later
config, cache, said = Path(sys.argv[1]), Path(sys.argv[2]), {}
open_clip.add_model_config(config)
_PRETRAINED["Tiny-8"] = {"mine": {"hf_hub": "somebody/tiny/", "mean": (0.1, 0.2, 0.3), "std": (0.5, 0.5, 0.5)}}
tag = find_tag("Tiny-8", "mine")
entry = PerceptorEntry(architecture="Tiny-8", pretrained="mine", cache=cache)

def attempt(name, work):
    try:
        said[name] = str(work())
    except ModelFilesBroken as error:
        said[name] = f"{type(error).__name__}: {error}"

attempt("load before", lambda: Perceptor.open(entry))
attempt("fetch", lambda: tag.fetch(cache))
if len(sys.argv) > 3:
    place = tag.cached(cache).resolve()
    place.write_bytes(place.read_bytes()[:-1] + b"!")
    attempt("damaged", lambda: Perceptor.open(entry))
else:
    attempt("load after", lambda: [round(x, 3) for x in Perceptor.open(entry).mean.flatten().tolist()])
print(json.dumps(said))
"""


def call(tmp_path: Path, hub: str, *more: str) -> dict[str, str]:
    config = tmp_path / "Tiny-8.json"
    config.write_text(json.dumps(CLIP_CONFIG["model_cfg"]))
    environment = os.environ | {"HF_ENDPOINT": hub, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    command = [sys.executable, "-c", PROGRAM, str(config), str(tmp_path / "cache"), *more]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.minutes
def test_a_tag_is_fetched_once_checked_and_loaded_without_a_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(open_clip.CLIP(**CLIP_CONFIG["model_cfg"]).state_dict(), tmp_path / "w.safetensors")
    data = (tmp_path / "w.safetensors").read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    path = "/somebody/tiny/resolve/main/open_clip_model.safetensors"
    with file_server(files={path: data}, headers={"X-Repo-Commit": "c" * 40, "X-Linked-Etag": f'"{sha256}"',
                     "X-Linked-Size": str(len(data))}) as hub:  # fmt: skip
        said = call(tmp_path, hub.url)
        assert said["load before"].startswith("FetchFailed: the weights 'mine' of Tiny-8 are not here")
        assert said["fetch"].endswith("open_clip_model.safetensors"), said
        assert said["load after"] == "[0.1, 0.2, 0.3]"  # normalised as the tag says
    blob = tmp_path / "cache" / "models--somebody--tiny" / "blobs" / sha256
    assert blob.read_bytes() == data
    gone = call(tmp_path, hub.url, "damage")  # nobody serves any more
    assert gone["fetch"].endswith("open_clip_model.safetensors")
    assert gone["damaged"].startswith("ModelFilesBroken: the weights '")
    assert "are damaged" in gone["damaged"]


@pytest.mark.minutes
def test_a_hub_that_has_nothing_or_is_not_there_says_what_to_put_where(tmp_path: Path) -> None:
    with file_server() as hub:
        empty = call(tmp_path, hub.url)
    for said in (empty, call(tmp_path, hub.url)):
        assert said["fetch"].startswith("FetchFailed: the weights 'mine' of Tiny-8 are not here")
        assert f"put it as '{tmp_path / 'cache' / 'models--somebody--tiny' / 'snapshots' / 'main'}" in said["fetch"]


@pytest.mark.minutes
def test_weights_put_there_by_hand_as_asked_are_found(tmp_path: Path) -> None:
    torch.manual_seed(0)
    folder = tmp_path / "cache" / "models--somebody--tiny"
    (folder / "snapshots" / "main").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("main")
    weights = folder / "snapshots" / "main" / "open_clip_model.safetensors"
    save_file(open_clip.CLIP(**CLIP_CONFIG["model_cfg"]).state_dict(), weights)
    said = call(tmp_path, "http://127.0.0.1:9")
    assert said["fetch"] == str(weights)
    assert said["load after"] == "[0.1, 0.2, 0.3]"
