"""VQGAN (Esser et al. 2021, "Taming Transformers", section 3.1) on taming's own modules.

taming's Lightning models can't be imported with today's Lightning; its `Encoder`, `Decoder` and quantisers can. This
class wires them as `taming.models.vqgan.VQModel` and `GumbelVQ` do, under the same state-dict keys, and leaves the
training out. The renderer sees one interface: whatever the encoder thinks of a picture, latents live in the space of
the codes, and a latent's token is the code nearest to it.
"""

from __future__ import annotations

import copy
import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import torch.nn as nn
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from taming.modules.vqvae.quantize import GumbelQuantize, VectorQuantizer2
from torch import Tensor

from renderers.config_file import clipped, problems_of, read_config, shown_value
from renderers.errors import ModelFilesBroken
from renderers.form import FLAT, PLAIN, Form, Wrap
from renderers.models.kernels.cuda_graphs import Graphed
from renderers.models.shapes import give_numbers, shapes_alone
from renderers.models.vqgan.blocks import Decoder, Encoder, our_blocks

__all__ = ["VQGAN", "DDConfig", "VQGANConfig", "decode_tokens"]

VQMODEL = "taming.models.vqgan.VQModel"
KINDS: dict[str, Literal["vqgan", "gumbel"]] = {VQMODEL: "vqgan", "taming.models.vqgan.GumbelVQ": "gumbel"}
# A transformer over the codes of a VQGAN, which its config holds as `first_stage_config`.
NET2NET = "taming.models.cond_transformer.Net2NetTransformer"

# A config is somebody else's file: far above any real one, so that a slip of a digit does not take all memory.
Width = Annotated[int, Field(ge=1, le=16_384)]


class DDConfig(BaseModel):
    """taming's `ddconfig`: the shape of encoder and decoder. `norm_groups` is ours."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    double_z: bool = False
    z_channels: Width
    resolution: Width
    in_channels: Width = 3
    out_ch: Width = 3
    ch: Width
    ch_mult: tuple[Annotated[int, Field(ge=1, le=64)], ...] = Field(min_length=1, max_length=10)
    num_res_blocks: int = Field(ge=0, le=32)
    attn_resolutions: tuple[int, ...] = ()
    dropout: float = 0.0
    norm_groups: int = Field(
        32, ge=1, le=16_384, description="groups of every GroupNorm; taming's blocks have no word for it and take 32"
    )


class VQGANConfig(BaseModel):
    """The `params` of a taming config that decide the network; the training's are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    embed_dim: Width
    n_embed: int = Field(ge=1, le=2**24)
    ddconfig: DDConfig
    kind: Literal["vqgan", "gumbel"] = "vqgan"

    @property
    def downsampling(self) -> int:
        """Pixels per token, each way."""
        return int(2 ** (len(self.ddconfig.ch_mult) - 1))

    @classmethod
    def read(cls, path: Path) -> VQGANConfig:
        """Read a taming YAML config.

        Raises:
            ModelFilesBroken: it is missing, no YAML, names another class than those known here, or lacks a value.
        """
        document = read_config(path)
        try:
            target, params = document["model"]["target"], document["model"]["params"]
            if target == NET2NET:
                target, params = params["first_stage_config"]["target"], params["first_stage_config"]["params"]
        except (KeyError, IndexError, TypeError) as error:
            raise ModelFilesBroken(f"'{path}' is not a taming config with model.target and model.params") from error
        # taming imports whatever class the config names; here it is one of two, and compared, not imported.
        if not isinstance(target, str) or target not in KINDS:
            known = ", ".join([*KINDS, f"{NET2NET} with one of them as its first stage"])
            raise ModelFilesBroken(f"'{path}' names the class {shown_value(target)}: known are {known}")
        kind = KINDS[target]
        try:
            return cls.model_validate({**params, "kind": kind})
        except (TypeError, ValueError) as error:
            said = problems_of(error) if isinstance(error, ValidationError) else clipped(error)
            raise ModelFilesBroken(f"'{path}' does not describe a {target.rpartition('.')[2]}: {said}") from error


def _quantiser(config: VQGANConfig) -> Any:
    """taming's own, which hold the codes under the keys that checkpoints have."""
    if config.kind == "vqgan":
        return VectorQuantizer2(config.n_embed, config.embed_dim, beta=0.25, sane_index_shape=True)
    hidden = config.ddconfig.z_channels
    if hidden != config.embed_dim:  # GumbelVQ feeds embed_dim channels to a projection of z_channels
        raise ValueError(f"a GumbelVQ needs embed_dim equal to z_channels, and has {config.embed_dim} and {hidden}")
    return GumbelQuantize(hidden, config.embed_dim, n_embed=config.n_embed)


class VQGAN(nn.Module):
    """Encoder, codebook, decoder. Pictures are `(b, 3, H, W)` in [0, 1]; latents `(b, c, h, w)`; tokens `(b, h, w)`."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        shape = config.ddconfig.model_dump(exclude={"norm_groups"})
        # taming's Decoder prints its shape; a library must not write on a command's stdout.
        with our_blocks(config.ddconfig.norm_groups), redirect_stdout(io.StringIO()):
            self.encoder = Encoder(**shape)
            self.decoder = Decoder(**shape)
        self.quantize = _quantiser(config)
        self.quant_conv = nn.Conv2d(config.ddconfig.z_channels, config.embed_dim, 1)
        self.post_quant_conv = nn.Conv2d(config.embed_dim, config.ddconfig.z_channels, 1)
        self._code_norms: Tensor | None = None
        self.graphed: Graphed | None = None
        self.form = PLAIN
        """Of the pictures that it draws."""
        self._formed: dict[Form, VQGAN] = {}

    @classmethod
    def build(cls, config_path: Path) -> VQGAN:
        """The network that taming's YAML at `config_path` describes, with random weights.

        Raises:
            ModelFilesBroken: see `VQGANConfig.read`; or it describes what can't be built.
        """
        config = VQGANConfig.read(config_path)
        try:
            return cls(config)
        except (ValueError, ArithmeticError) as error:
            raise ModelFilesBroken(f"'{config_path}' describes a network that can't be built: {error}") from error

    @classmethod
    def load(cls, config_path: Path, weights_path: Path) -> VQGAN:
        """A VQGAN from taming's YAML and safetensors with taming's keys, in float32, frozen, in eval mode.

        Raises:
            ModelFilesBroken: a file is missing or damaged, or its keys are not those of the config's network.
        """
        try:
            state = load_file(weights_path)
            with shapes_alone():  # a config of a few bytes may describe any size
                model = cls.build(config_path)
            give_numbers(model, state)
        except (OSError, SafetensorError) as error:
            raise ModelFilesBroken(f"can't read the VQGAN weights '{weights_path}': {error}") from error
        except RuntimeError as error:
            raise ModelFilesBroken(f"'{weights_path}' does not fit '{config_path}': {clipped(error)}") from error
        return model.eval().requires_grad_(False)

    @property
    def codebook(self) -> Tensor:
        """The codes, `(n, c)`."""
        codes: Tensor = (self.quantize.embed if self.config.kind == "gumbel" else self.quantize.embedding).weight
        return codes

    @property
    def dtype(self) -> torch.dtype:
        """In which the decoder computes; all else is float32."""
        return self.post_quant_conv.weight.dtype

    def freeze_for_rendering(self, dtype: torch.dtype, *, graphs: bool = False) -> None:
        """Have the decoder compute in `dtype`, as CUDA graphs if `graphs`, and the codes stay as they are: to be called
        once the weights are on their device, by those who only render. Latents, their distances to the codes and
        pictures stay float32, and so does the encoder, which runs once a frame and hands its rounding on to all that
        follow."""
        # of the parts, not of a method: a circle would keep the model's memory when the next one is loaded
        self.graphed = Graphed(_Drawing(self.post_quant_conv, self.decoder, self.form.wrap)) if graphs else None
        self.decoder.to(dtype)
        self.post_quant_conv.to(dtype)
        self._code_norms = self.codebook.detach().square().sum(dim=1)
        self._formed = {}

    def formed(self, form: Form) -> VQGAN:
        """The same network, of the same weights, that draws pictures of another `form`."""
        if form == self.form:
            return self
        if form not in self._formed:
            other = copy.copy(self)  # the parts are shared
            other.form, other._formed = form, {}
            if self.graphed is not None:
                other.graphed = Graphed(_Drawing(self.post_quant_conv, self.decoder, form.wrap))
            self._formed[form] = other
        return self._formed[form]

    def train(self, mode: bool = True) -> VQGAN:
        """As any module's; weights that learn are neither frozen for rendering nor recorded."""
        if mode:
            self._code_norms, self.graphed, self._formed = None, None, {}
        super().train(mode)
        return self

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures `(b, 3, H, W)` in [0, 1] to latents `(b, c, h, w)` in the space of the codes.

        A Gumbel encoder gives no point of that space but the odds of every code; the likeliest stand for it.
        (taming's GumbelQuantize draws one at random by those odds; an init picture should not depend on a die.)
        """
        encoded: Tensor = self.quant_conv(self.encoder(pictures * 2 - 1, self.form.wrap))
        if self.config.kind == "gumbel":
            return self.look_up(self.quantize.proj(encoded).argmax(dim=1))
        return encoded

    def tokenise(self, latents: Tensor) -> Tensor:
        """The nearest codes' indices `(b, h, w)`: the tokens.

        The distance leaves out |z|^2, which is the same for every code.
        """
        flat = latents.detach().permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
        norms = (self.codebook**2).sum(dim=1) if self._code_norms is None else self._code_norms
        distance = torch.addmm(norms, flat, self.codebook.T, alpha=-2)
        return distance.argmin(dim=1).view(latents.shape[0], *latents.shape[2:])

    def look_up(self, tokens: Tensor) -> Tensor:
        """Tokens `(b, h, w)` to their codes `(b, c, h, w)`: a gather, not the peers' one-hot times codebook."""
        return self.codebook[tokens].permute(0, 3, 1, 2).contiguous()

    def quantise(self, latents: Tensor) -> Tensor:
        """Snap latents to their nearest codes, straight-through: the gradient passes as if nothing had happened
        (van den Oord et al. 2017, section 3.2)."""
        codes = self.look_up(self.tokenise(latents))
        return latents + (codes - latents).detach()

    def decode(self, codes: Tensor) -> Tensor:
        """Codes `(b, c, h, w)` to pictures `(b, 3, H, W)`, nominally in [0, 1] but not clamped."""
        given = codes.to(self.dtype)
        if self.graphed is None:
            decoded = self.decoder(self.post_quant_conv(given), self.form.wrap)
        else:
            decoded = self.graphed(given)
        return self.form.mirrored((decoded.float() + 1) / 2)


class _Drawing(nn.Module):
    """The parts of a VQGAN that draw pictures which `wrap`: a network of one tensor, for recordings."""

    def __init__(self, first: nn.Module, decoder: nn.Module, wrap: Wrap = FLAT) -> None:
        super().__init__()
        self.first, self.decoder, self.wrap = first, decoder, wrap

    def forward(self, codes: Tensor) -> Tensor:
        drawn: Tensor = self.decoder(self.first(codes), self.wrap)
        return drawn


def decode_tokens(vqgan: VQGAN, tokens: Tensor) -> Tensor:
    """The pictures `(b, 3, H, W)` in [0, 1] that `tokens` `(b, h, w)`, of whichever integers, stand for: what a viewer
    sees. A latent decoded as it is, before its tokens are looked up, is another picture."""
    return vqgan.decode(vqgan.look_up(tokens.long())).clamp(0, 1)
