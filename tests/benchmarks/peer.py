"""nerdyrodent/VQGAN-CLIP's own, unmodified `generate.py`, run on models that we give it.

Only what it imports is stood in for: reading configs and checkpoints, and packages that its step never reaches. Its
step is its own code, with the real kornia: a checkout and kornia are the user's to bring, neither is part of this
project.

- taming's `VQModel` (which Lightning 2 can't import) is wired here from taming's own Encoder, Decoder and quantiser, as
  taming wires it, and takes the state dict given.
- OpenAI's CLIP is open_clip's model of the same architecture, given the same weights; on a GPU in float16, as
  `clip.load` makes it there.
- tqdm's bar tells us when a step is done.
"""

from __future__ import annotations

import io
import runpy
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import open_clip
import taming.modules.diffusionmodules.model as taming_blocks
import torch
from taming.modules.vqvae.quantize import VectorQuantizer2
from torch import Tensor, nn

from renderers.models import VQGANConfig

__all__ = ["CLIP", "PeerMissing", "Script", "run_peer"]

CONFIG, CHECKPOINT = "config", "checkpoint"


Script = dict[str, Any]
"""The script's own variables, by name."""


class PeerMissing(Exception):
    """There is no peer to run: no checkout, or no kornia."""


class VQModel(nn.Module):
    """As `taming.models.vqgan.VQModel`, without the training."""

    def __init__(self, config: VQGANConfig, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        shape = config.ddconfig.model_dump(exclude={"norm_groups"})
        with _norm_groups(config.ddconfig.norm_groups):
            self.encoder, self.decoder = taming_blocks.Encoder(**shape), taming_blocks.Decoder(**shape)
        self.quantize = VectorQuantizer2(config.n_embed, config.embed_dim, beta=0.25, sane_index_shape=True)
        self.quant_conv = nn.Conv2d(config.ddconfig.z_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.ddconfig.z_channels, 1)
        self.loss = nn.Identity()  # it deletes it
        self._state = state

    def init_from_ckpt(self, path: str) -> None:
        assert path == CHECKPOINT
        self.load_state_dict(self._state)

    def encode(self, pictures: Tensor) -> tuple[Tensor]:
        return (self.quant_conv(self.encoder(pictures)),)

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(self.post_quant_conv(codes))  # type: ignore[no-any-return]


@contextmanager
def _norm_groups(groups: int) -> Iterator[None]:
    """taming's blocks with another number of groups than its own 32, which the embedded pair has."""
    before = taming_blocks.Normalize
    taming_blocks.Normalize = lambda in_channels, num_groups=32: nn.GroupNorm(groups, in_channels, eps=1e-6)
    try:
        yield
    finally:
        taming_blocks.Normalize = before


class CLIP(nn.Module):
    """OpenAI's interface over open_clip's model."""

    def __init__(self, architecture: str, state: Mapping[str, Tensor], device: torch.device) -> None:
        super().__init__()
        precision = "fp32" if device.type == "cpu" else "fp16"
        self.clip = open_clip.create_model(architecture, precision=precision, device=device)
        self.clip.load_state_dict(state)
        self.visual = SimpleNamespace(input_resolution=self.clip.visual.image_size[0])

    def encode_image(self, pictures: Tensor) -> Tensor:
        return self.clip.encode_image(pictures.type(self.clip.visual.conv1.weight.dtype))  # type: ignore[no-any-return]

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.clip.encode_text(tokens)  # type: ignore[no-any-return]


@contextmanager
def _modules(stand_ins: Mapping[str, ModuleType]) -> Iterator[None]:
    """Have `stand_ins` imported in place of the packages of their names."""
    before = {name: sys.modules.get(name) for name in stand_ins}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


def _module(name: str, **content: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(content)
    return made


def run_peer(
    checkout: Path,
    *,
    vqgan: tuple[VQGANConfig, Mapping[str, Tensor]],
    clip: tuple[str, Mapping[str, Tensor]] | nn.Module,
    device: torch.device,
    size: tuple[int, int],
    cutouts: int,
    steps: int,
    prompt: str,
    output: Path,
    on_step: Callable[[], None],
    seed: int = 0,
    on_start: Callable[[Script], None] | None = None,
) -> None:
    """Run `steps` of its steps, with its defaults but for what is given, and one that nobody counts; `on_step` is
    called after each of the `steps`.

    `vqgan` and `clip` are a config or architecture with a state dict, or for the latter what stands in for OpenAI's
    module, as `CLIP` does; `size` is width and height in pixels; `output` the picture that it writes at its first step.
    `seed` is what it seeds torch with; `on_start` is given the script's variables before its first step.

    Raises:
        PeerMissing: there is no `generate.py` in `checkout`, or no kornia.
    """
    script = checkout / "generate.py"
    if not script.is_file():
        raise PeerMissing(f"there is no '{script}': give a checkout of nerdyrodent/VQGAN-CLIP")
    try:
        import kornia.augmentation  # noqa: F401
    except ImportError as error:
        raise PeerMissing(
            f"the peer needs kornia ({error}): pip install --target FOLDER --no-deps kornia kornia_rs"
        ) from error

    class Bar:
        def __enter__(self) -> Bar:
            if on_start is not None:
                on_start(sys._getframe(1).f_globals)
            return self

        def __exit__(self, *_: object) -> None: ...

        def update(self) -> None:
            on_step()

        @staticmethod
        def write(_: str) -> None: ...

    judge = clip if isinstance(clip, nn.Module) else CLIP(*clip, device)
    config = SimpleNamespace(model=SimpleNamespace(target="taming.models.vqgan.VQModel", params={}))
    models = {"vqgan": SimpleNamespace(VQModel=lambda: VQModel(*vqgan)), "cond_transformer": SimpleNamespace()}
    loader = SimpleNamespace(load=lambda name, jit: (judge,), tokenize=open_clip.tokenize)
    stand_ins = {
        "omegaconf": _module("omegaconf", OmegaConf=SimpleNamespace(load=lambda path: config)),
        "taming.models": _module("taming.models", **models),
        "CLIP": _module("CLIP", clip=loader),
        "tqdm": _module("tqdm", tqdm=Bar),
        "torch_optimizer": _module("torch_optimizer", DiffGrad=None, AdamP=None),
        "imageio": _module("imageio"),
    }
    arguments = [
        str(script), "-p", prompt, "-s", *map(str, size), "-cuts", str(cutouts), "-i", str(steps), "-se", str(10**9),
        "-conf", CONFIG, "-ckpt", CHECKPOINT, "-cd", str(device), "-sd", str(seed), "-o", str(output),
    ]  # fmt: skip
    argv, path = sys.argv, list(sys.path)
    try:
        # it silences all warnings, talks, and changes the search path: none of it is to outlast it
        with _modules(stand_ins), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            sys.argv = arguments
            runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv, sys.path[:] = argv, path
