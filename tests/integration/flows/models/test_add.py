"""`nightreel models add`: files that lie about become a model that a manifest can name."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import open_clip
import pytest
import torch
import yaml
from safetensors.torch import save_file

from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT
from manifests.schema import ManifestRow
from renderers.errors import ModelFilesBroken
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import Perceptor, load_models
from renderers.registry import PerceptorEntry, Registry
from tests.helpers.checkpoints import Calls, save_lightning, save_program
from tests.helpers.command_line import Said
from tests.helpers.random_model import CLIP_CONFIG, write_model
from tests.integration.flows.models.conftest import Published

Command = Callable[..., Said]


@pytest.fixture(scope="module")
def architecture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An architecture that open_clip knows, but tiny."""
    path = tmp_path_factory.mktemp("architectures") / "Tiny-8.json"
    path.write_text(json.dumps(CLIP_CONFIG["model_cfg"]))
    open_clip.add_model_config(path)
    yield "Tiny-8"
    open_clip.factory._MODEL_CONFIG_PATHS.remove(path)
    open_clip.factory._rescan_model_configs()


def clip_state(seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return open_clip.CLIP(**CLIP_CONFIG["model_cfg"]).state_dict()


def draw(registry: Registry, name: str) -> tuple[float, ...]:
    """The losses of two steps of a model."""
    entry = registry.entry(name)
    renderer = FrameRenderer(load_models(entry, device="cpu"))
    row = ManifestRow.model_validate({"video_id": "a", "prompt": "a reef", "model": name, "width": 32, "height": 32,
                                      "steps_first": 2, "cutouts": {"number": 4}})  # fmt: skip
    plan = VideoPlan.of(row, entry=entry)
    return renderer.render(plan, next(plan.walk()), None, {}).losses


@pytest.fixture
def files(published: Published, tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "model.yaml", tmp_path / "last.ckpt"


def test_a_checkpoint_with_an_ensemble_of_two_perceptors_of_ones_own(
    nightreel: Command, files: tuple[Path, Path], architecture: str, folder: Path, tmp_path: Path, registry: Registry
) -> None:
    config, checkpoint = files
    save_file(clip_state(1), tmp_path / "one.safetensors")
    # as open_clip's own training leaves it, on several GPUs
    training = {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in clip_state(2).items()}}
    torch.save(training | {"optimizer": {"state": {0: torch.ones(3)}}}, tmp_path / "two.pt")

    perceptors = [f"{architecture}:{tmp_path / 'one.safetensors'}", f"{architecture}:{tmp_path / 'two.pt'}"]
    added = ("models", "add", "duo", "--config", config, "--weights", checkpoint, "--perceptor")
    said = nightreel(*added, perceptors[0], "--perceptor", perceptors[1], "--summary", "two judges")

    assert said.code == DONE, said.err
    assert "try it: nightreel preview" in said.out
    for path in (*files, tmp_path / "one.safetensors", tmp_path / "two.pt"):
        path.unlink()
    entry = registry.entry("duo")
    assert (entry.summary, entry.vqgan.kind, entry.downsampling, entry.measured_on) == ("two judges", "gumbel", 4, None)
    assert nightreel("models", "verify", "duo").code == DONE
    models = load_models(entry, device="cpu")
    assert [perceptor.side for perceptor in models.perceptors] == [32, 32]
    first, second = (perceptor.clip.state_dict() for perceptor in models.perceptors)
    assert all(torch.equal(first[key], value) for key, value in clip_state(1).items())
    assert all(torch.equal(second[key], value) for key, value in clip_state(2).items())
    # each of the two has a say
    texts = ["a reef"]
    vectors = [perceptor.embed_texts(texts) for perceptor in models.perceptors]
    assert not torch.allclose(*vectors)
    both = draw(registry, "duo")
    for number, perceptor in enumerate(entry.perceptors):
        alone = nightreel("models", "add", f"solo-{number}", "--from", "duo", "--perceptor",
                          f"{architecture}:{perceptor.weights_path}")  # fmt: skip
        assert alone.code == DONE, alone.err
        assert draw(registry, f"solo-{number}")[0] != both[0]
        assert registry.entry(f"solo-{number}").vqgan == entry.vqgan
        assert registry.entry(f"solo-{number}").digest != entry.digest


def test_settings_and_perceptors_may_come_from_another_model(
    nightreel: Command, files: tuple[Path, Path], folder: Path, registry: Registry
) -> None:
    config, checkpoint = files
    said = nightreel(
        "models", "add", "maps", "--config", config, "--weights", checkpoint, "--from", "embedded", "--json"
    )
    assert said.code == DONE, said.err
    assert json.loads(said.out)["complete"] is True
    assert registry.entry("maps").perceptors == tuple(
        p.model_copy(update={"folder": p.path}) for p in registry.entry("embedded").perceptors
    )
    assert registry.entry("maps").concepts == registry.entry("embedded").concepts
    assert len(draw(registry, "maps")) == 2


def test_a_folder_that_open_clip_wrote_is_a_perceptor(
    nightreel: Command, files: tuple[Path, Path], folder: Path, tmp_path: Path, registry: Registry
) -> None:
    (tmp_path / "clip").mkdir()
    write_model(tmp_path / "clip")
    config, checkpoint = files
    said = nightreel(
        "models", "add", "own", "--config", config, "--weights", checkpoint, "--perceptor", tmp_path / "clip"
    )
    assert said.code == DONE, said.err
    assert len(draw(registry, "own")) == 2


def test_without_perceptors_the_usual_one_is_to_be_fetched(
    nightreel: Command, files: tuple[Path, Path], folder: Path
) -> None:
    config, checkpoint = files
    said = nightreel("models", "add", "maps", "--config", config, "--weights", checkpoint)
    assert said.code == DONE, said.err
    assert "still to fetch: nightreel models fetch maps" in said.out
    said = nightreel(
        "preview", "a reef", "--model", "maps", "-o", folder / "x.png", "--set", "width=32", "--set", "height=32"
    )
    assert said.code == ENVIRONMENT
    assert "the weights 'openai' of ViT-B-32-quickgelu are not here" in said.err
    assert f"put it as '{folder / 'open_clip'}" in said.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["embedded", "--from", "embedded"], "is a model of the package"),
        (["../up", "--from", "embedded"], "can't name a model"),
        (["maps"], "give a config and weights"),
        (["maps", "--config", "x.yaml"], "belong together"),
        (["maps", "--config", "x.yaml", "--weights", "y.ckpt"], "the package itself has gumbel-f8-8192, vqgan-f16"),
        (["maps", "--from", "embeded"], "did you mean 'embedded'"),
        (["maps", "--from", "embedded", "--perceptor", "ViT-B-32"], "give ARCHITECTURE:TAG"),
        (["maps", "--from", "embedded", "--perceptor", "ViT-B-23:openai"], "knows no architecture 'ViT-B-23': did you"),
        (["maps", "--from", "embedded", "--perceptor", "ViT-B-32:nobody"], "has no weights 'nobody' for ViT-B-32:"),
        (["maps", "--from", "embedded", "--perceptor", "ViT-B-32:openai"], "name ViT-B-32-quickgelu instead"),
        (["maps", "--from", "embedded", "--perceptor", "ViT-B-32:x.pt"], "there is no file 'x.pt'"),
    ],
)  # fmt: skip
def test_mistakes_are_reported_and_leave_nothing(
    nightreel: Command, folder: Path, arguments: list[str], message: str
) -> None:
    said = nightreel("models", "add", *arguments)
    assert said.code == BAD_INPUT
    assert message in said.err
    assert not folder.exists() or list(folder.iterdir()) == []


def test_hostile_files_are_refused_and_leave_nothing(
    nightreel: Command, files: tuple[Path, Path], architecture: str, folder: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    config, _ = files
    attack = pickle.dumps({"state_dict": Calls(os.system, f"touch {marker}")}, 2)
    save_program(tmp_path / "hostile.pt", attack)
    evil = tmp_path / "evil.yaml"
    evil.write_text(yaml.safe_dump({"model": {"target": "os.system", "params": {"command": f"touch {marker}"}}}))
    for arguments, message in (
        (["--config", config, "--weights", tmp_path / "hostile.pt"], "posix.system"),
        (["--from", "embedded", "--perceptor", f"{architecture}:{tmp_path / 'hostile.pt'}"], "posix.system"),
        (["--config", evil, "--weights", files[1]], "names the class 'os.system'"),
    ):
        said = nightreel("models", "add", "bad", *arguments)
        assert (said.code, message in said.err) == (ENVIRONMENT, True), said.err
    # and open_clip itself is only ever asked to load weights
    with pytest.raises(ModelFilesBroken, match="open_clip can't load"):
        Perceptor.load_architecture(architecture, tmp_path / "hostile.pt")
    assert not marker.exists()
    assert list(folder.iterdir()) == []


def test_weights_in_half_precision_are_read_into_float32(folder: Path, architecture: str, tmp_path: Path) -> None:
    save_file({key: value.half() for key, value in clip_state(1).items()}, tmp_path / "half.safetensors")
    perceptor = Perceptor.load_architecture(architecture, tmp_path / "half.safetensors")
    assert {value.dtype for value in perceptor.clip.parameters()} == {torch.float32}
    assert perceptor.embed_pictures(torch.rand(1, 3, 32, 32)).dtype == torch.float32
    (tmp_path / "clip").mkdir()
    write_model(tmp_path / "clip")
    save_file({k: v.half() for k, v in clip_state(1).items()}, tmp_path / "clip" / "open_clip_model.safetensors")
    assert {value.dtype for value in Perceptor.load(tmp_path / "clip").clip.parameters()} == {torch.float32}


def test_weights_of_another_architecture_are_reported(folder: Path, architecture: str, tmp_path: Path) -> None:
    state = clip_state(1)
    save_file({key: value for key, value in state.items() if "visual" not in key}, tmp_path / "part.safetensors")
    with pytest.raises(ModelFilesBroken, match="open_clip can't load Tiny-8 with the weights"):
        Perceptor.load_architecture(architecture, tmp_path / "part.safetensors")
    entry = PerceptorEntry(architecture="ViT-B-32-quickgelu", pretrained="openai", cache=folder / "open_clip")
    with pytest.raises(ModelFilesBroken, match="are not here"):
        Perceptor.open(entry)


def test_a_shape_of_the_package_serves_a_checkpoint_without_its_config(
    nightreel: Command, folder: Path, tmp_path: Path
) -> None:
    save_lightning(tmp_path / "last.ckpt", {"quantize.embedding.weight": torch.ones(2, 2)})
    said = nightreel("models", "add", "maps", "--config", "vqgan-f16-1024", "--weights", tmp_path / "last.ckpt")
    assert said.code == ENVIRONMENT
    assert "does not hold the network of its config: it lacks encoder.conv_in.weight" in said.err
