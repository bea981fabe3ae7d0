"""Training a small perceptor: a CLIP that is good at guiding a renderer, which is more than telling pictures apart.

Contrastive (Radford et al. 2021, section 2.3) over scenes as the renderer shows them: through its own cutouts, some of
them drawn by the VQGAN. Then adversarial, without which a small CLIP is fooled by texture: pictures are pushed by up to
`epsilon` where it hurts most (Madry et al. 2018, section 2.1; robust features are those that gradients draw, Santurkar
et al. 2019, "Image synthesis with a single robust classifier"), and decoded random codes are taught to be nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from manifests.schema import CutoutSettings
from renderers.models.vqgan.vqgan import VQGAN, decode_tokens
from renderers.randomness import generator
from renderers.step.cutouts import cut, draw_cutouts
from renderers.training.captions import plural
from renderers.training.learning import average_weights, learn
from renderers.training.run import trapezoid
from renderers.training.scenes import SceneComposer
from renderers.training.workers import rank

__all__ = ["PerceptorTraining", "PerceptorTrainingSettings"]

EXCLUDED = -1e4  # a logit for what must not count as wrong


class PerceptorTrainingSettings(BaseModel):
    """How to train. The defaults are the embedded perceptor's recipe; its card says where the shipped one differs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="decides the weights at the start and every batch")
    steps: int = Field(3000, ge=1, description="steps altogether")
    batch: int = Field(32, ge=2, description="scenes per step and worker")
    reconstructed: float = Field(0.3, ge=0, le=1, description="share of the scenes that pass through the VQGAN")
    garbage: int = Field(4, ge=0, description="decoded random codes per step, which are nothing")
    bank: int = Field(
        64, ge=0, description="names per step that a picture is distinguished from, besides the batch's captions"
    )
    names_every: int = Field(
        0, ge=0, description="steps between readings of all names, from which pictures are distinguished; 0: none"
    )
    lr: float = Field(1e-3, gt=0, description="learning rate of the text tower and the projection")
    trunk_rate: float = Field(0.35, ge=0, le=1, description="that of the pretrained trunk, as a share of it")
    head_rate: float = Field(
        1,
        gt=0,
        le=1,
        description="that of the picture tower's head: one of n x n cells moves n x n times as far by a step",
    )
    trunk_from: int = Field(150, ge=0, description="steps before the trunk begins to learn")
    locked: int = Field(
        0,
        ge=0,
        description="first steps, in which the picture tower stays as it is and the text tower learns its language",
    )
    kin: float = Field(
        0, ge=0, le=1, description="share of a text's words that one stands for that means nearly the same"
    )
    warm_up: int = Field(80, ge=0, description="steps over which the learning rate rises")
    cool_down: float = Field(0.4, ge=0, le=1, description="last share of the steps, over which it falls to 0")
    adversarial_from: int = Field(200, ge=0, description="first step of the adversarial phase; `steps` for none")
    ramp: int = Field(200, ge=1, description="steps over which epsilon rises to its value")
    epsilon: float = Field(1.5, ge=0, description="most that a cutout is pushed, in L2 over pixels in [0, 1]")
    attacked: float = Field(1, ge=0, le=1, description="share of the cutouts that are pushed; the others stay clean")
    average: float = Field(0.998, ge=0, lt=1, description="decay of the averaged weights, which are the result")
    log_every: int = Field(50, ge=1, description="steps between two lines of the curves")
    checkpoint_every: int = Field(100, ge=1, description="steps between two checkpoints")


class PerceptorTraining:
    """The state of one training, and its step. `clip` is open_clip's, with a timm trunk in its vision tower."""

    def __init__(
        self,
        clip: Any,
        tokenizer: Callable[[list[str]], Tensor],
        settings: PerceptorTrainingSettings,
        composer: SceneComposer,
        vqgan: VQGAN,
        cutouts: CutoutSettings,
        *,
        mean: float,
        std: float,
        kin: Tensor | None = None,
    ) -> None:
        """`kin` `(numbers, k)`: what may stand for each of the tokenizer's numbers; the number itself where nothing
        may. With it texts are of whole words, whose vectors stay as they are, so that those of words in no caption
        keep their places among them."""
        self.kin = kin
        self.clip, self.tokenizer, self.settings, self.composer = clip, tokenizer, settings, composer
        self.vqgan, self.cutouts, self._mean, self._std = vqgan, cutouts, mean, std
        self.device = next(clip.parameters()).device
        size = clip.visual.image_size
        self.side: int = size if isinstance(size, int) else size[0]
        trunk = {id(p) for p in clip.visual.trunk.parameters()}
        self._picture_tower = {id(p) for p in clip.visual.parameters()}
        of_head = [p for p in clip.visual.head.parameters() if p.ndim >= 2] if settings.head_rate != 1 else []
        apart = trunk | {id(p) for p in of_head}
        matrices = [p for p in clip.parameters() if p.ndim >= 2 and id(p) not in apart]
        rest = [p for p in clip.parameters() if p.ndim < 2 and id(p) not in trunk]
        self.adam = torch.optim.AdamW(
            [
                {"params": list(clip.visual.trunk.parameters()), "weight_decay": 0.01},
                {"params": matrices, "weight_decay": 0.05},
                {"params": rest, "weight_decay": 0.0},
                *([{"params": of_head, "weight_decay": 0.05}] if of_head else []),
            ],
            lr=settings.lr,
            betas=(0.9, 0.98),
        )
        self.weights = [p for group in self.adam.param_groups for p in group["params"]]
        self._fixed = _slow_filters(clip.visual.trunk)
        if kin is not None:
            self._fixed.add(id(clip.token_embedding.weight))
        self.names = composer.names
        self.named: Tensor | None = None
        """what the text tower made of all names, `(names, d)`, when they were last read"""
        self.averaged = {key: value.clone() for key, value in clip.state_dict().items()}

    # -- one step ------------------------------------------------------------------------------------------------

    def step(self, step: int) -> dict[str, Tensor]:
        """Do step number `step` (from 0); gives the losses."""
        settings = self.settings
        self._set_rates(step)
        scenes = self.composer.compose(settings.batch, settings.seed, step, f"scenes {rank()}")
        pictures = scenes.pictures.to(self.device)
        through = round(settings.batch * settings.reconstructed)
        with torch.no_grad():
            pictures[:through] = self._redraw(pictures[:through])
        real = len(pictures)
        if settings.garbage:
            pictures = torch.cat([pictures, self._garbage(pictures[:through], step)])
        chance = generator(settings.seed, rank(), step, "bank")
        bank = torch.randperm(len(self.names), generator=chance)[: settings.bank]
        texts = [*scenes.captions, *scenes.false_captions, *(_an(self.names[i]) for i in bank)]
        tokens = self.among_kin(self.tokenizer(texts), step).to(self.device)
        wrong = exclusions(scenes.captions, scenes.concepts, [self.names[i] for i in bank], bank).to(self.device)
        self.read_names(step)
        others = self.wrong_names(scenes.captions, scenes.concepts)

        if step >= settings.adversarial_from:
            with torch.no_grad():
                words = F.normalize(self.read(tokens), dim=-1)
            seen = self._attack(pictures, words, wrong, real, step)
        else:
            seen = self.look(pictures, step)
        self._learning(True, locked=step < settings.locked)
        words = F.normalize(self.read(tokens), dim=-1)
        views = F.normalize(self.clip.encode_image(seen), dim=-1)
        by_picture, by_text = self.losses(views, words, wrong, real, others)
        loss = (by_picture + by_text) / 2
        learn(loss, self.weights, self.adam, clip=1.0)
        average_weights(self.averaged, self.clip.state_dict(), self.settings.average, step)
        with torch.no_grad():
            right = (views[:real] * words[:real]).sum(dim=1)
            terms = {"loss": loss, "by_picture": by_picture, "by_text": by_text, "similarity": right.mean()}
            terms["scale"] = self.clip.logit_scale.exp()
        return {name: term.detach() for name, term in terms.items()}

    def read(self, tokens: Tensor) -> Tensor:
        """What the text tower makes of `tokens` `(n, context)`. Of whole words, whose texts are a third of the context,
        no more is computed than the longest has: nothing that follows the end of a text counts for it."""
        if self.kin is None:
            features: Tensor = self.clip.encode_text(tokens)
            return features
        clip, longest = self.clip, int(tokens.count_nonzero(dim=1).max())
        tokens = tokens[:, :longest]
        x = clip.token_embedding(tokens) + clip.positional_embedding[:longest]
        x = clip.ln_final(clip.transformer(x, attn_mask=clip.attn_mask[:longest, :longest]))
        ends: Tensor = x[torch.arange(len(x), device=x.device), tokens.argmax(dim=-1)]
        read: Tensor = ends @ clip.text_projection
        return read

    def among_kin(self, tokens: Tensor, step: int) -> Tensor:
        """`tokens` with words that mean nearly the same in the place of some."""
        if self.kin is None or not self.settings.kin:
            return tokens
        chance = generator(self.settings.seed, rank(), step, "kin")
        which = torch.randint(self.kin.shape[1], tokens.shape, generator=chance)
        changed = torch.rand(tokens.shape, generator=chance) < self.settings.kin
        return torch.where(changed, self.kin[tokens, which], tokens)

    @torch.no_grad()
    def read_names(self, step: int) -> None:
        """Read all names, if it is time to."""
        every = self.settings.names_every
        if every and (self.named is None or step % every == 0):
            tokens = self.tokenizer([_an(name) for name in self.names]).to(self.device)
            order = tokens.count_nonzero(dim=1).argsort()  # alike in length go together
            read = torch.cat([self.read(part) for part in tokens[order].split(256)])
            self.named = F.normalize(read, dim=-1)[order.argsort()]

    def wrong_names(self, captions: Sequence[str], concepts: Tensor) -> tuple[Tensor, Tensor] | None:
        """All names as they were last read `(names, d)`, and which of them each picture shows after all
        `(n, names)`; None where they are not read."""
        if self.named is None:
            return None
        everything = torch.arange(len(self.names))
        shown = exclusions(captions, concepts, self.names, everything)[:, len(captions) :]
        return self.named, shown.to(self.device)

    def losses(
        self, views: Tensor, words: Tensor, wrong: Tensor, real: int, names: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The two cross-entropies: each real picture among texts, its false caption and `names` included; each caption
        among pictures, garbage included."""
        scale = self.clip.logit_scale.exp().clamp(max=50)
        captions, false, bank = words[:real], words[real : 2 * real], words[2 * real :]
        among = scale * views[:real] @ torch.cat([captions, bank]).T
        own_false = scale * (views[:real] * false).sum(dim=1, keepdim=True)
        among = torch.cat([among.masked_fill(wrong, EXCLUDED), own_false], dim=1)
        if names is not None:
            among = torch.cat([among, (scale * views[:real] @ names[0].T).masked_fill(names[1], EXCLUDED)], dim=1)
        answer = torch.arange(real, device=views.device)
        by_picture = F.cross_entropy(among, answer)
        among = scale * captions @ views.T
        never = F.pad(wrong[:, :real].T, (0, len(views) - real))
        return by_picture, F.cross_entropy(among.masked_fill(never, EXCLUDED), answer)

    def _attack(self, pictures: Tensor, words: Tensor, wrong: Tensor, real: int, step: int) -> Tensor:
        """Cutouts of `pictures`, pushed to where the loss is worst within epsilon. The first `real` of them have a
        caption; the others are garbage."""
        settings = self.settings
        self._learning(False)
        seen = self.look(pictures, step)
        ramp = min(1.0, (step - settings.adversarial_from + 1) / settings.ramp)
        chance = generator(settings.seed, rank(), step, "push")
        # each its own reach, up to epsilon: some stay nearly clean.
        reach = settings.epsilon / self._std * ramp * torch.rand(len(seen), 1, 1, 1, generator=chance).to(self.device)
        start = torch.randn(seen.shape, generator=chance).to(self.device)
        push = (start / _norms(start) * reach * 0.5).requires_grad_(True)
        scale = self.clip.logit_scale.detach().exp().clamp(max=50)
        # of the real ones the first, in a batch without order, and all garbage
        pushed = round(real * settings.attacked)
        near = seen + push
        chosen = near if pushed == real else torch.cat([near[:pushed], near[real:]])
        views = F.normalize(self.clip.encode_image(chosen.contiguous(memory_format=torch.channels_last)), dim=-1)
        among = scale * views[:pushed] @ torch.cat([words[:real], words[2 * real :]]).T
        answer = torch.arange(pushed, device=self.device)
        goal = F.cross_entropy(among.masked_fill(wrong[:pushed], EXCLUDED), answer, reduction="sum")
        if len(pictures) > real:
            # garbage climbs towards whatever text is nearest.
            goal = goal + (scale * views[pushed:] @ words[:real].T).logsumexp(dim=1).sum()
        (gradient,) = torch.autograd.grad(goal, [push])
        with torch.no_grad():
            push = push + gradient / _norms(gradient) * reach
            push = push * (reach / _norms(push)).clamp(max=1)
            push[pushed:real] = 0
            return seen + push

    # -- pictures ------------------------------------------------------------------------------------------------

    def look(self, pictures: Tensor, step: int) -> Tensor:
        """One cutout of each picture, normalised, `(n, 3, side, side)`."""
        settings = self.cutouts.model_copy(update={"number": len(pictures)})
        side = self.composer.side
        # the trailing spaces belong to the addresses: without them, one seed would give other batches than it gave.
        draw = draw_cutouts(settings, side, side, generator(self.settings.seed, rank(), step, "cutouts "))
        grain = generator(self.settings.seed, rank(), step, "grain ", self.device)
        seen = cut(pictures, draw.to(self.device), self.side, grain)
        return ((seen - self._mean) / self._std).contiguous(memory_format=torch.channels_last)

    def _redraw(self, pictures: Tensor) -> Tensor:
        """Pictures as the VQGAN draws them."""
        return self.vqgan.decode(self.vqgan.quantise(self.vqgan.encode(pictures))).clamp(0, 1)

    @torch.no_grad()
    def _garbage(self, drawn: Tensor, step: int) -> Tensor:
        """Decoded random codes, patches of them laid over codes of real pictures: nothing that has a name."""
        n, chance = self.settings.garbage, generator(self.settings.seed, rank(), step, "garbage")
        real = self.vqgan.tokenise(self.vqgan.encode(drawn[:n]))
        random = torch.randint(len(self.vqgan.codebook), real.shape, generator=chance).to(self.device)
        coarse = F.interpolate(torch.rand(len(real), 1, 4, 4, generator=chance), size=real.shape[-2:])[:, 0]
        share = 0.5 + 0.6 * torch.rand(len(real), 1, 1, generator=chance)
        tokens = torch.where((coarse < share).to(self.device), random, real)
        return decode_tokens(self.vqgan, tokens)

    # -- weights -------------------------------------------------------------------------------------------------

    def _set_rates(self, step: int) -> None:
        settings = self.settings
        rate = settings.lr * trapezoid(step, settings.steps, warm_up=settings.warm_up, cool_down=settings.cool_down)
        trunk = min(1.0, max(0, step - settings.trunk_from) / 100) * settings.trunk_rate
        for group, share in zip(self.adam.param_groups, (trunk, 1.0, 1.0, settings.head_rate), strict=False):
            group["lr"] = rate * share

    def _learning(self, on: bool, *, locked: bool = False) -> None:
        """Let gradients reach the weights or not; those of a `locked` picture tower never (Zhai et al. 2022, "LiT").
        The trunk's batch statistics stay those of its pretraining, since a batch that is part attack and part garbage
        has none worth keeping."""
        self.clip.train(on)
        self.clip.visual.trunk.eval()
        fixed = self._fixed | self._picture_tower if locked else self._fixed
        for weight in self.weights:
            weight.requires_grad_(on and id(weight) not in fixed)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step needs."""
        return {"clip": self.clip.state_dict(), "averaged": self.averaged, "adam": self.adam.state_dict(),
                "names": self.named}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.clip.load_state_dict(state["clip"])
        self.averaged = {key: value.to(self.device) for key, value in state["averaged"].items()}
        self.adam.load_state_dict(state["adam"])
        self.named = state.get("names")


def _slow_filters(trunk: nn.Module) -> set[int]:
    """The ids of the trunk's 5x5 depthwise filters, which stay as they are: 5 % of its weights, whose gradients take a
    quarter of a step on a CPU (30 ms for each layer of 1152 channels, where the forward pass takes 2)."""
    layers = (layer for layer in trunk.modules() if isinstance(layer, nn.Conv2d))
    return {id(layer.weight) for layer in layers if layer.groups > 1 and layer.kernel_size[0] == 5}


def exclusions(captions: Sequence[str], concepts: Tensor, names: Sequence[str], bank: Tensor) -> Tensor:
    """What must not count as wrong, `(n, n + m)`: other captions that are true of picture i too (the same words, or the
    same single concept), and names of the bank that picture i shows."""
    same_words = torch.tensor([[a == b for b in captions] for a in captions])
    same_concept = (concepts[:, None] == concepts[None]) & (concepts[:, None] >= 0)
    others = (same_words | same_concept) & ~torch.eye(len(captions), dtype=torch.bool)
    named = torch.zeros(len(captions), len(names), dtype=torch.bool)
    beginning = _by_first_word(tuple(names))
    for said, caption in zip(named, captions, strict=True):
        words = f" {caption.replace(',', '')} "
        for word in set(words.split()):
            for phrase, name in beginning.get(word, ()):
                if phrase in words:
                    said[name] = True
    shown = concepts[:, None] == bank[None]
    return torch.cat([others, named | shown], dim=1)


@lru_cache(4)
def _by_first_word(names: tuple[str, ...]) -> dict[str, list[tuple[str, int]]]:
    """The names, singular and plural between blanks, and their places, by their first words."""
    found: dict[str, list[tuple[str, int]]] = {}
    for place, name in enumerate(names):
        for form in (name, plural(name)):
            found.setdefault(form.split()[0], []).append((f" {form} ", place))
    return found


def _norms(x: Tensor) -> Tensor:
    """L2 norms `(n, 1, 1, 1)`, kept off zero."""
    norms: Tensor = x.flatten(1).norm(dim=1)
    return norms.clamp(min=1e-9).view(-1, 1, 1, 1)


def _an(name: str) -> str:
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"
