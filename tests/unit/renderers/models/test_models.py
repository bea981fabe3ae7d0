"""Loading models, and what a VQGAN and a perceptor do, on random weights."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file, save_file

from renderers.errors import BadInput, CheckpointUnsafe, ModelFilesBroken
from renderers.models import VQGAN, Models, Perceptor, VQGANConfig, load_models
from renderers.models.perceptor.folder import check_words
from renderers.registry import ModelEntry
from tests.helpers.random_model import CLIP_CONFIG, VQGAN_PARAMS, sha256, write_model


def latents(side: int = 8, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 4, side, side, generator=torch.Generator().manual_seed(seed))


# --- VQGAN ------------------------------------------------------------------------------------------------------------


def test_shapes(models: Models) -> None:
    vqgan = models.vqgan
    assert vqgan.config.downsampling == models.entry.downsampling == 4
    pictures = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    encoded = vqgan.encode(pictures)
    assert encoded.shape == (2, 4, 6, 10)
    tokens = vqgan.tokenise(encoded)
    assert tokens.shape == (2, 6, 10)
    assert vqgan.look_up(tokens).shape == (2, 4, 6, 10)
    assert vqgan.decode(vqgan.look_up(tokens)).shape == (2, 3, 24, 40)


def test_tokens_are_the_nearest_codes_as_tamings_own_quantiser_finds_them(models: Models) -> None:
    vqgan, z = models.vqgan, latents()
    distances = torch.cdist(z.permute(0, 2, 3, 1).reshape(-1, 4), vqgan.codebook)
    assert torch.equal(vqgan.tokenise(z).flatten(), distances.argmin(dim=1))
    quantised, _, (_, _, tokens) = vqgan.quantize(z)
    assert torch.equal(vqgan.tokenise(z), tokens)
    torch.testing.assert_close(vqgan.quantise(z), quantised, atol=1e-6, rtol=0)


def test_codes_are_their_own_nearest(models: Models) -> None:
    tokens = torch.arange(32).view(1, 4, 8)
    assert torch.equal(models.vqgan.tokenise(models.vqgan.look_up(tokens)), tokens)
    assert torch.equal(models.vqgan.tokenise(models.vqgan.look_up(tokens.to(torch.int32))), tokens)


def test_the_gradient_passes_the_quantiser_as_if_nothing_had_happened(models: Models) -> None:
    z = latents().requires_grad_(True)
    pull = latents(seed=1)
    (models.vqgan.quantise(z) * pull).sum().backward()
    torch.testing.assert_close(z.grad, pull)


def test_the_gradient_of_a_picture_reaches_every_latent(models: Models) -> None:
    z = latents().requires_grad_(True)
    models.vqgan.decode(models.vqgan.quantise(z)).square().sum().backward()
    assert z.grad is not None
    assert (z.grad != 0).all()
    assert all(parameter.grad is None for parameter in models.vqgan.parameters())


def test_groups_of_one_network_do_not_leak_into_the_next(models: Models, capsys: pytest.CaptureFixture[str]) -> None:
    wide = copy.deepcopy(VQGAN_PARAMS)
    del wide["ddconfig"]["norm_groups"]
    wide["ddconfig"]["ch"] = 32
    groups = {
        m.num_groups for m in VQGAN(VQGANConfig.model_validate(wide)).modules() if isinstance(m, torch.nn.GroupNorm)
    }
    assert groups == {32}
    assert {m.num_groups for m in models.vqgan.modules() if isinstance(m, torch.nn.GroupNorm)} == {2}
    assert capsys.readouterr().out == ""  # taming prints; we do not


# --- perceptor --------------------------------------------------------------------------------------------------------


def test_embeddings_are_unit_vectors_of_one_space(models: Models) -> None:
    (perceptor,) = models.perceptors
    assert (perceptor.side, perceptor.dimensions) == (32, 16)
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for vectors in (perceptor.embed_texts(["one", "two", "three"]), perceptor.embed_pictures(pictures)):
        assert vectors.shape == (3, 16)
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert not perceptor.embed_texts(["one"]).requires_grad


def test_pictures_are_normalised_as_the_config_says(models: Models) -> None:
    (perceptor,) = models.perceptors
    picture = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(CLIP_CONFIG["preprocess_cfg"][key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    by_hand = F.normalize(perceptor.clip.visual((picture - mean) / std), dim=-1)
    torch.testing.assert_close(perceptor.embed_pictures(picture), by_hand)


def test_a_prompt_is_the_mean_over_the_templates(models: Models) -> None:
    (plain,) = models.perceptors
    both = Perceptor(plain.clip, plain.tokenizer, ("{}", "a drawing of {}"))
    apart = plain.embed_texts(["a {cat}", "a drawing of a {cat}"])
    torch.testing.assert_close(both.embed_texts(["a {cat}"])[0], F.normalize(apart.sum(dim=0), dim=0))


def test_the_gradient_reaches_the_pictures_and_no_weight(models: Models) -> None:
    (perceptor,) = models.perceptors
    pictures = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_(True)
    (perceptor.embed_pictures(pictures) @ perceptor.embed_texts(["a cat"])[0]).sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad.abs().sum(dim=(1, 2, 3)) > 0).all()
    assert all(parameter.grad is None for parameter in perceptor.parameters())


# --- loading ----------------------------------------------------------------------------------------------------------


def test_loaded_models_are_frozen_and_in_eval_mode(models: Models, entry: ModelEntry) -> None:
    for model in (models.vqgan, *models.perceptors):
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    stored = load_file(entry.vqgan.weights_path)
    assert stored.keys() == models.vqgan.state_dict().keys()
    for key, value in models.vqgan.state_dict().items():
        assert torch.equal(value, stored[key])


def test_half_precision_weights_are_read_into_float32(tmp_path: Path) -> None:
    entry = write_model(tmp_path)
    path = entry.vqgan.weights_path
    save_file({key: value.half() for key, value in load_file(path).items()}, path)
    vqgan = VQGAN.load(entry.vqgan.config_path, path)
    assert {parameter.dtype for parameter in vqgan.parameters()} == {torch.float32}


@pytest.mark.parametrize("device", ["cuda:99", "nonsense", "mps:7", "cpu:x"])
def test_a_device_that_is_not_there_is_bad_input(entry: ModelEntry, device: str) -> None:
    with pytest.raises(BadInput, match=f"device '{device}'"):
        load_models(entry, device=device)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("file", ["vqgan.safetensors", "open_clip_model.safetensors"])
@pytest.mark.parametrize(
    ("damage", "message"),
    [(cut_short, "is damaged: SHA-256"), (flip_a_bit, "is damaged: SHA-256"), (Path.unlink, "can't be read")],
)
def test_weights_that_the_registry_does_not_vouch_for_are_not_loaded(
    tmp_path: Path, file: str, damage: Callable[[Path], None], message: str
) -> None:
    entry = write_model(tmp_path)
    damage(tmp_path / file)
    with pytest.raises(ModelFilesBroken, match=f"{file}' {message}"):
        load_models(entry, device="cpu")


def rewrite_config(path: Path, **params: object) -> None:
    document = yaml.safe_load(path.read_text())
    document["model"]["params"].update(params)
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_text("model: ["), "is not a taming config"),
        (lambda path: path.write_text("model: {}"), "is not a taming config"),
        (lambda path: path.write_text(""), "is not a taming config"),
        (lambda path: path.unlink(), "is not a taming config"),
        (
            lambda path: path.write_text(path.read_text().replace("VQModel", "EMAVQ")),
            "names the class 'taming.*EMAVQ'",
        ),
        (
            lambda path: path.write_text(path.read_text().replace("VQModel", "GumbelVQ")),
            "a GumbelVQ needs embed_dim equal to z_channels, and has 4 and 8",
        ),
        (lambda path: rewrite_config(path, n_embed="many"), "does not describe a VQModel"),
        (lambda path: rewrite_config(path, ddconfig={"ch": 8}), "does not describe a VQModel"),
        (lambda path: rewrite_config(path, n_embed=64), "does not fit"),
        (
            lambda path: rewrite_config(path, ddconfig={**VQGAN_PARAMS["ddconfig"], "norm_groups": 3}),
            "describes a network that can't be built",
        ),
    ],
)  # fmt: skip
def test_a_broken_vqgan_config_says_what_is_wrong(
    tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    entry = write_model(tmp_path)
    spoil(entry.vqgan.config_path)
    with pytest.raises(ModelFilesBroken, match=message):
        VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path)


@pytest.mark.parametrize(
    ("file", "spoil"),
    [
        ("open_clip_config.json", lambda path: path.write_text("{")),
        ("open_clip_config.json", lambda path: path.write_text(json.dumps({"model_cfg": {"embed_dim": 16}}))),
        ("open_clip_config.json", Path.unlink),
        ("open_clip_model.safetensors", cut_short),
        ("open_clip_model.safetensors", Path.unlink),
        ("merges.gz", lambda path: path.write_bytes(b"no gzip")),
        ("merges.gz", lambda path: path.write_bytes(bytes.fromhex("1f8b0800000000000003"))),
        ("merges.gz", Path.unlink),
    ],
)
def test_a_broken_perceptor_folder_is_reported(tmp_path: Path, file: str, spoil: Callable[[Path], object]) -> None:
    write_model(tmp_path)
    (tmp_path / "merges.gz").touch()
    spoil(tmp_path / file)
    with pytest.raises(ModelFilesBroken, match="open_clip can't load a model from"):
        Perceptor.load(tmp_path, merges="merges.gz")


def described(folder: Path, *, say: tuple[str, ...] = (), value: object = None) -> Path:
    """A perceptor's folder whose config has `value` where `say` leads."""
    write_model(folder)
    config = copy.deepcopy(CLIP_CONFIG)
    place = config
    for name in say[:-1]:
        place = place[name]
    place[say[-1]] = value
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    "words", [{"trust_remote_code": True}, {"bpe_path": "/etc/passwd"}, {"clean": "lower", "code_revision": "main"}]
)
@pytest.mark.parametrize("name", [None, "a/tokenizer"])
def test_a_perceptor_hands_its_tokenizer_nothing_that_runs_or_opens_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: dict[str, object], name: str | None
) -> None:
    """transformers runs the code in a perceptor's folder where its config asks for that."""
    folder = described(tmp_path, say=("model_cfg", "text_cfg", "tokenizer_kwargs"), value=words)
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"]["hf_tokenizer_name"] = name
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    monkeypatch.setattr("open_clip.get_tokenizer", lambda *_, **__: pytest.fail("open_clip got to read it"))
    for use in (Perceptor.load, check_words):
        with pytest.raises(CheckpointUnsafe, match="which may run code; known are clean, strip_sep_token"):
            use(folder)


@pytest.mark.parametrize("name", ["hf-hub:a/tower", "local-dir:/tmp/tower"])
def test_a_perceptors_tower_is_fetched_from_nowhere(tmp_path: Path, name: str) -> None:
    folder = described(tmp_path, say=("model_cfg", "vision_cfg", "timm_model_name"), value=name)
    with pytest.raises(CheckpointUnsafe, match="nothing of it was fetched"):
        Perceptor.load(folder)


@pytest.mark.parametrize(
    ("say", "value"),
    [
        (("embed_dim",), 10**6), (("embed_dim",), 0), (("vision_cfg",), None), (("text_cfg",), []),
        (("vision_cfg", "width"), 65_536), (("vision_cfg", "layers"), 10**6), (("vision_cfg", "layers"), [1000] * 4),
        (("vision_cfg", "image_size"), 10**6), (("vision_cfg", "patch_size"), 0), (("vision_cfg", "head_width"), 0),
        (("vision_cfg", "mlp_ratio"), 1e6), (("text_cfg", "context_length"), 10**5), (("text_cfg", "heads"), 0),
        (("text_cfg", "vocab_size"), 10**6), (("text_cfg", "layers"), 10**6), (("text_cfg", "layers"), "many"),
        (("text_cfg", "context_length"), "long"), (("text_cfg", "tokenizer_kwargs"), "x"),
    ],
)  # fmt: skip
def test_a_perceptor_is_built_only_if_it_may_be_the_one_in_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: tuple[str, ...], value: object
) -> None:
    """A config of a few bytes had whoever rendered with it take all memory there is."""
    folder = described(tmp_path, say=("model_cfg", *say), value=value)
    real = torch.empty

    def small(*size: object, **options: object) -> torch.Tensor:
        made = real(*size, **options)  # type: ignore[call-overload]
        assert made.is_meta or made.numel() < 10**7
        return made

    monkeypatch.setattr(torch, "empty", small)
    with pytest.raises(ModelFilesBroken) as caught:
        Perceptor.load(folder)
    assert len(str(caught.value)) < 1_000


@pytest.mark.parametrize("say", [("mean",), ("std",)])
@pytest.mark.parametrize("value", [0, [0.5, 0.5], "x"])
def test_a_perceptor_whose_pictures_can_not_be_normalised_is_reported(
    tmp_path: Path, say: tuple[str, ...], value: object
) -> None:
    with pytest.raises(ModelFilesBroken):
        Perceptor.load(described(tmp_path, say=("preprocess_cfg", *say), value=value))


def test_a_vqgan_is_built_only_if_it_is_the_one_in_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, memory for all that a config describes was taken first: a terabyte, for the codes of this one."""
    write_model(tmp_path)
    rewrite_config(tmp_path / "vqgan.yaml", n_embed=2**24, embed_dim=16_384)
    built = []
    build = VQGAN.__init__
    monkeypatch.setattr(
        VQGAN, "__init__", lambda model, config: (built.append(torch.empty(0).is_meta), build(model, config))[1]
    )
    with pytest.raises(ModelFilesBroken, match="does not fit"):
        VQGAN.load(tmp_path / "vqgan.yaml", tmp_path / "vqgan.safetensors")
    assert built == [True]


@pytest.mark.parametrize("groups", [0, -1, 10**6, 3])
def test_groups_that_no_norm_has_are_refused(tmp_path: Path, groups: int) -> None:
    write_model(tmp_path)
    rewrite_config(tmp_path / "vqgan.yaml", ddconfig={**VQGAN_PARAMS["ddconfig"], "norm_groups": groups})
    with pytest.raises(ModelFilesBroken, match=r"norm_groups|can't be built"):
        VQGAN.build(tmp_path / "vqgan.yaml")


def test_the_entry_vouches_for_the_very_files(tmp_path: Path) -> None:
    """The fixture itself: an entry with another checksum is refused even where the file is a good one."""
    data = write_model(tmp_path).model_dump()
    assert data["vqgan"]["sha256"] == sha256(tmp_path / "vqgan.safetensors")
    data["vqgan"]["sha256"] = "0" * 64
    with pytest.raises(ModelFilesBroken, match="the registry vouches for 0000"):
        load_models(ModelEntry.model_validate(data), device="cpu")
