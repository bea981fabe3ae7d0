"""The benchmark that runs the peer's own script beside ours: on a script of ours that asks for the same things."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import open_clip
import pytest
import torch

from renderers.models import VQGAN, VQGANConfig
from tests.benchmarks.clock import against_neighbours
from tests.benchmarks.peer import PeerMissing, run_peer
from tests.helpers.random_model import VQGAN_PARAMS

ARCHITECTURE = "ViT-B-32-quickgelu"
# Loads as VQGAN-CLIP's generate.py loads, steps once a round, and leaves what it found where the test can see it.
SCRIPT = """
import argparse, warnings
from tqdm import tqdm
from omegaconf import OmegaConf
from taming.models import cond_transformer, vqgan
import torch, torch_optimizer, imageio, kornia.augmentation
from CLIP import clip
parser = argparse.ArgumentParser()
for short, kind in (("p", str), ("cuts", int), ("i", int), ("se", int), ("conf", str), ("ckpt", str), ("cd", str),
                    ("sd", int), ("o", str)):
    parser.add_argument("-" + short, type=kind)
parser.add_argument("-s", nargs=2, type=int)
args = parser.parse_args()
warnings.filterwarnings("ignore")
config = OmegaConf.load(args.conf)
assert config.model.target == "taming.models.vqgan.VQModel"
model = vqgan.VQModel(**config.model.params)
model.eval().requires_grad_(False)
model.init_from_ckpt(args.ckpt)
del model.loss
perceptor = clip.load("ViT-B/32", jit=False)[0].eval().requires_grad_(False)
print("talks")
z = torch.randn(1, model.quantize.e_dim, 2, 2)
found = {"args": vars(args), "picture": model.decode(z), "z": z, "codes": model.quantize.embedding.weight,
         "latent": model.encode(torch.zeros(1, 3, 8, 8))[0], "side": perceptor.visual.input_resolution,
         "text": perceptor.encode_text(clip.tokenize(args.p))}
torch.save(found, args.o)
i = 0
with tqdm() as bar:
    while True:
        tqdm.write("one more")
        if i == args.i:
            break
        i += 1
        bar.update()
"""


@pytest.fixture
def vqgan() -> VQGAN:
    params = {**VQGAN_PARAMS, "ddconfig": {**VQGAN_PARAMS["ddconfig"], "ch": 32}}
    params["ddconfig"].pop("norm_groups")  # taming's own blocks know 32 only
    torch.manual_seed(0)
    return VQGAN(VQGANConfig.model_validate(params)).eval().requires_grad_(False)


def test_a_peers_script_gets_our_weights_and_tells_its_steps(
    vqgan: VQGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "generate.py").write_text(SCRIPT, encoding="utf-8")
    for name in ("kornia", "kornia.augmentation"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    clip = open_clip.create_model(ARCHITECTURE).eval()
    before, argv, path = dict(sys.modules), list(sys.argv), list(sys.path)
    steps: list[int] = []

    run_peer(
        tmp_path, vqgan=(vqgan.config, vqgan.state_dict()), clip=(ARCHITECTURE, clip.state_dict()),
        device=torch.device("cpu"), size=(64, 32), cutouts=4, steps=3, prompt="a red apple",
        output=tmp_path / "found.pt", on_step=lambda: steps.append(len(steps)),
    )  # fmt: skip

    assert steps == [0, 1, 2]
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert found["args"] | {"o": "", "se": 0} == {
        "p": "a red apple", "s": [64, 32], "cuts": 4, "i": 3, "se": 0, "conf": "config", "ckpt": "checkpoint",
        "cd": "cpu", "sd": 0, "o": "",
    }  # fmt: skip
    torch.testing.assert_close((found["picture"] + 1) / 2, vqgan.decode(found["z"]), atol=1e-5, rtol=0)
    torch.testing.assert_close(found["latent"], vqgan.encode(torch.full((1, 3, 8, 8), 0.5)), atol=1e-5, rtol=0)
    assert torch.equal(found["codes"], vqgan.codebook)
    assert found["side"] == 224
    with torch.no_grad():
        torch.testing.assert_close(found["text"], clip.encode_text(open_clip.tokenize("a red apple")))
    assert capsys.readouterr().out == ""
    assert (sys.argv, sys.path) == (argv, path)
    for name in ("tqdm", "taming.models", "CLIP", "omegaconf", "imageio"):
        assert sys.modules.get(name) is before.get(name)


def test_without_a_checkout_or_kornia_it_says_what_is_missing(
    vqgan: VQGAN, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt() -> None:
        run_peer(
            tmp_path, vqgan=(vqgan.config, {}), clip=(ARCHITECTURE, {}), device=torch.device("cpu"), size=(64, 64),
            cutouts=4, steps=1, prompt="", output=tmp_path / "o.png", on_step=lambda: None,
        )  # fmt: skip

    with pytest.raises(PeerMissing, match="give a checkout of nerdyrodent/VQGAN-CLIP"):
        attempt()
    (tmp_path / "generate.py").write_text("", encoding="utf-8")
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(PeerMissing, match="pip install --target FOLDER --no-deps kornia"):
        attempt()


def test_a_load_that_rises_through_a_run_favours_nobody() -> None:
    """Each side's step takes 10 % longer than the other's before it: they are equally fast, as are the ratios."""
    theirs, ours = [1.1 ** (2 * n) for n in range(4)], [1.1 ** (2 * n + 1) for n in range(3)]
    assert against_neighbours(theirs, ours) == pytest.approx([1.0, 1.0, 1.0])
    assert against_neighbours([2.0, 2.0], [0.5]) == pytest.approx([4.0])
