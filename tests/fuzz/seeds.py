"""What fuzzing begins with: small valid inputs of every reader, and those that hurt once (tests/cases)."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fsspec.implementations.memory import MemoryFileSystem
from PIL import Image

from flows.job.storage_state import save_plan
from flows.planning.retakes import retake_document
from flows.retry_and_quarantine.records import FailureRecord
from flows.runs.record import RefusedVideo, RunRecord, RunRequest, RunState, RunVideo
from flows.runs.stored import put_record, put_request, put_state
from infra.storage.layout import PROVENANCE, failure_key, retake_key
from infra.storage.storage import MemoryStore, Storage
from manifests.errors import ErrorKind
from manifests.schema import ManifestRow, rows_to_table
from renderers.frame_plan.frame_plan import Retake
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.state import FrameState, Moments
from renderers.models.checkpoint.reading import open_checkpoint
from renderers.word_table import FIRST_LINE
from tests.helpers.checkpoints import save_lightning
from tests.helpers.hostile_models import configs as hostile_configs
from tests.helpers.music import clicks, convert, write_wav
from tests.helpers.planned_work import work_of
from tests.helpers.root import ROOT

CASES = Path(__file__).parents[1] / "cases"
LARGEST = 300_000  # bytes: mutation of more says little
# They have tests of their own (tests/unit/manifests): whole files of many rows cost more than one input may.
COSTLY = ("parquet_keyframes_40.parquet", "parquet_prompt_20MB.parquet", "null_rows_500k.parquet")
FRAMES = 4
WORDS = ("a\ta\t100\n", "cat\tcat\t100\nkitten\tcat\t79\nsnow\tsnow\t100\n")
GOOD, STRANGER = "reef", "stranger"
NOW = datetime(2026, 11, 28, tzinfo=UTC)
STAMP = "20261128T000000000000"
CSV = b'video_id,prompt,frames,camera.zoom\nreef,a red apple,4,1.02\nlake,"a lake | a boat:0.5",1,\n'
JSONL = b"""
{"video_id": "reef", "prompt": "a red apple", "camera": {"zoom": "1.02"}}
{"video_id": "lake", "prompt": "0: a lake"}
"""
YAML = b"""
- {video_id: reef, prompt: a red apple, frames: 4, camera: {zoom: "0: 1, 3: 1.1"}}
- video_id: lake
  prompts:
    - {frame: 0, prompts: [{text: a lake, weight: 1}]}
  loss: &loss {tv: 0.1}
- {video_id: sea, prompt: the sea, loss: *loss}
"""
EXPANDED = b"""
defaults: {wildcards: true}
videos: [{video_id: v, prompt: "a {red|2::green} {1-2$$ and $$old|new} apple"}]
expand:
- {axes: {subject: [a, b], optimiser.lr: [0.1, 0.2], steps: [3, null]}, template: "{subject} in {ink|{oil|chalk}}"}
- {axes: {seed: [1, 2, 3]}, set: {prompt: "x {seed}", zoom: "1 + .01*{seed}"}, mode: sample, count: 2, seed: 7}
- {table: people.csv, template: "for {name}, {2$$a|b|c}", id: "{id}", set: {seed: "{id}"}}
"""
TABLE = b'id,name\n1,Anna\n2,"Bob: 2 | x"\n3,\n'
CONFIG = b"""
model:
  target: taming.models.vqgan.VQModel
  params:
    embed_dim: 16
    n_embed: 32
    ddconfig: {double_z: false, z_channels: 16, resolution: 32, in_channels: 3, out_ch: 3, ch: 32, ch_mult: [1, 2],
      num_res_blocks: 1, attn_resolutions: [16], dropout: 0.0}
"""


def _cases(*suffixes: str) -> Iterator[bytes]:
    for path in sorted(CASES.rglob("*")):
        if path.suffix in suffixes and path.stat().st_size < LARGEST and path.name not in COSTLY:
            yield path.read_bytes()


def yaml_sources() -> Iterator[bytes]:
    """Manifests in YAML."""
    yield YAML
    yield EXPANDED
    yield from _cases(".yaml")


def presets() -> Iterator[bytes]:
    """Presets of one's own."""
    yield b"summary: soft\nsteps_first: 20\ncutouts: {number: 3, noise: .3}\noptimiser.lr: 1e-1\n"
    yield from (path.read_bytes() for path in sorted((ROOT / "manifests" / "schema" / "presets").glob("*.yaml")))


def tables() -> Iterator[bytes]:
    """Tables, of which each row makes a video: their kind, and what they hold."""
    yield b"csv " + TABLE
    yield b'jsonl {"id": 1, "name": "Anna"}\n{"id": "2", "name": 7.5}\n'
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1, 2], "name": ["Anna", None]}), sink)
    yield b"parquet " + sink.getvalue()


def jsonl_sources() -> Iterator[bytes]:
    """Manifests in JSON lines."""
    yield JSONL
    yield from _cases(".jsonl")


def csv_sources() -> Iterator[bytes]:
    """Manifests in CSV."""
    yield CSV
    yield CSV.replace(b",", b"\t").decode().encode("utf-16")


def parquet_files() -> Iterator[bytes]:
    """Manifests as they are rendered."""
    rows = [ManifestRow(video_id=f"v{i}", prompt="a red apple", frames=i + 1, zoom="0: 1, 3: 1.1") for i in range(5)]
    for options in ({}, {"compression": "zstd", "use_dictionary": False}):
        sink = io.BytesIO()
        pq.write_table(rows_to_table(rows), sink, **options)
        yield sink.getvalue()
    yield from _cases(".parquet")


def pictures() -> Iterator[bytes]:
    """Small pictures of every kind that is read."""
    base = Image.linear_gradient("L").resize((9, 7))
    for kind, modes in {
        "PNG": ("RGB", "RGBA", "LA", "P", "1", "I;16"), "JPEG": ("RGB", "L", "CMYK"), "GIF": ("P",),
        "TIFF": ("RGB", "F", "I;16"), "WEBP": ("RGBA",), "BMP": ("RGB",), "AVIF": ("RGB",),
    }.items():  # fmt: skip
        for mode in modes:
            sink = io.BytesIO()
            base.convert(mode).save(sink, format=kind)
            yield sink.getvalue()
    yield from _cases(".png", ".jpg", ".heic")


def sounds() -> Iterator[bytes]:
    """Short sounds in files of every family that is read, and lists that name other files."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        source = write_wav(Path(folder) / "a.wav", clicks(120, 0.6)[0])
        yield source.read_bytes()
        for name in ("a.mp3", "a.m4a", "a.flac", "a.ogg", "a.opus", "a.mka", "a.aiff", "a.au"):
            yield convert(source, Path(folder) / name).read_bytes()
        yield f"ffconcat version 1.0\nfile '{source}'\n".encode()
        yield f"#EXTM3U\n#EXTINF:9,\nfile:{source}\n".encode()


def configs() -> Iterator[bytes]:
    """Taming's configs, and those that want to be too much."""
    yield CONFIG
    yield from (text.encode() for _, text, _ in hostile_configs() if len(text) < 5_000)


def word_tables() -> Iterator[bytes]:
    """Yield tables of words, unpacked."""
    for lines in WORDS:
        yield f"{FIRST_LINE}\n{lines}".encode()


def checkpoints() -> Iterator[bytes]:
    """Checkpoints of both layouts, with all that a training leaves in them."""
    state = {"decoder.weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2, dtype=torch.float16)}
    for legacy in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            save_lightning(Path(folder, "last.ckpt"), state, legacy=legacy)
            yield Path(folder, "last.ckpt").read_bytes()
            torch.save(state, Path(folder, "plain.pt"), _use_new_zipfile_serialization=not legacy)
            yield Path(folder, "plain.pt").read_bytes()


def all_tensors(path: Path) -> None:
    """Read all of a checkpoint, as a conversion does."""
    with open_checkpoint(path) as checkpoint:
        for tensor in checkpoint.tensors().values():
            checkpoint.read(tensor)


def frame_objects() -> Iterator[bytes]:
    """A frame as storage holds it."""
    latent = torch.zeros((1, 2, 4, 4), dtype=torch.uint8)
    moments = Moments(torch.zeros((1, 2, 4, 4), dtype=torch.int8), torch.ones(2), torch.ones(2), steps=3)
    state = FrameState(torch.zeros((1, 4, 4), dtype=torch.int32), latent, moments)
    provenance = {"digest": "0" * 64, "software": {"nightreel": "0"}}
    yield FrameObject(np.zeros((8, 8, 3), dtype=np.uint8), state, provenance).to_bytes()


@cache
def good_output() -> dict[str, bytes]:
    """A video that was planned, and a run that names it, by their keys."""
    return _filled(GOOD, complete=False)


@cache
def stored_documents() -> dict[str, bytes]:
    """One document of each kind that an output holds, of another video and of a run, by their keys."""
    return _filled(STRANGER, complete=True)


def _filled(video: str, *, complete: bool) -> dict[str, bytes]:
    output = Storage(f"memory://seeds-{video}")
    try:
        work = work_of(video, FRAMES, 2)
        save_plan(output, work)
        if complete:
            _fill(output, video, work.frames[1].digest)
        else:
            good = (RunVideo(video_id=video, frames=FRAMES),)
            put_record(output, RunRecord(schema=1, run="20261127T000000-11111111", began=NOW, videos=good, refused=()))
        return {info.key: output.read(info.key) for info in output.list()}
    finally:
        forget(output)


def _fill(output: Storage, video: str, digest: str) -> None:
    retake = retake_document(Retake(frame=1, instead_of=digest, seed=3, start_digest=None, target_digest=None))
    decided = json.dumps({"video_id": video, "retakes": [retake]}).encode()
    output.put(retake_key(video, STAMP), decided, existing="replace")
    record = FailureRecord(video, 1, 1, "worker", ErrorKind.NON_FINITE, "the loss is nan", 1.0, NOW.isoformat())
    output.put(failure_key(video, 1, digest, STAMP), json.dumps(asdict(record)).encode(), existing="replace")
    document = {"video": "video.mp4", "content": "0" * 64, "frames": FRAMES}
    output.put(f"{video}/{PROVENANCE}", json.dumps(document).encode(), existing="replace")
    run = "20261128T000000-00000000"
    videos = (RunVideo(video_id=video, frames=FRAMES),)
    ghost = (RefusedVideo(video_id="ghost", frames=2, reason="no picture"),)
    put_record(output, RunRecord(schema=1, run=run, began=NOW, videos=videos, refused=ghost))
    put_state(output, RunState(schema=1, run=run, updated=NOW, done=(1,), phases="r"))
    put_request(output, RunRequest(schema=1, run=run, kind="priority", priority=3, asked=NOW), STAMP)


def forget(output: Storage) -> None:
    """Free what an output in memory holds."""
    with MemoryStore.lock:
        root = "/" + output.root.removeprefix("memory://")
        for path in [it for it in MemoryFileSystem.store if it.startswith(f"{root}/")]:
            del MemoryFileSystem.store[path]


def settings_of_tools() -> Iterator[bytes]:
    """Settings of other tools, in every dialect that is imported; and what hurts readers of any of them."""
    for path in sorted((ROOT / "tests" / "unit" / "manifests" / "importing" / "corpus").iterdir()):
        if path.suffix != ".golden":
            yield path.read_bytes()
    yield from (b"[" * 100_000, b"{" * 100_000, b'{"a":' * 10_000, b"a: &a [x, *a]\n", b"scenes: " + b"- " * 50_000)
    yield b"{" + b",".join(b'"%d": 1' % number for number in range(10_000)) + b"}"
    yield b"python generate.py " + b"-p 'a ^ b' " * 1000
