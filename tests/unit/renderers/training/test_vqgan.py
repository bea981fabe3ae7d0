"""VQGAN training on a tiny network: codes, resume bit by bit, curves, settings, and two workers as one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from renderers.errors import Stopped, TrainingBroken
from renderers.models import VQGAN, VQGANConfig
from renderers.randomness import generator
from renderers.training.codebook import RunningCodebook
from renderers.training.run import TrainingRun, trapezoid
from renderers.training.vqgan_training import (
    VQGANTraining,
    VQGANTrainingSettings,
    begin_at_zero,
    psnr,
    redrawn,
    redrawn_figures,
    train_vqgan,
)
from tests.helpers.random_model import VQGAN_PARAMS
from tests.helpers.root import ROOT

HELD_OUT = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(5))


class Blots:
    """Two-coloured pictures, a function of their address; worker 0 of one gets what workers 0 and 1 of two share."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = workers

    def batch(self, n: int, seed: int, step: int, worker: int) -> Tensor:
        if self.workers == 2:
            return Blots().batch(2 * n, seed, step, 0)[worker * n : (worker + 1) * n]
        chance = generator(seed, worker, step, "blots")
        pictures = torch.rand(n, 3, 1, 1, generator=chance).repeat(1, 1, 16, 16)
        pictures[:, :, 4:12, 4:12] = torch.rand(n, 3, 1, 1, generator=chance)
        return pictures


def training(workers: int = 1, **changes: object) -> VQGANTraining:
    few = {"steps": 12, "batch": 4, "autoencoder_steps": 4, "warm_up": 2, "log_every": 2, "checkpoint_every": 3}
    settings = VQGANTrainingSettings.model_validate({**few, **changes})
    torch.manual_seed(0)
    model = VQGAN(VQGANConfig.model_validate(VQGAN_PARAMS))
    begin_at_zero(model)
    return VQGANTraining(model, settings, Blots(workers), None)


def train(folder: Path, *, until: int | None = None, **changes: object) -> VQGAN:
    """Train to the end, or be stopped before step `until` (from 0)."""
    it = training(**changes)
    steps = iter(range(10**6))
    return train_vqgan(
        it, TrainingRun(folder, it.settings), held_out=HELD_OUT, should_stop=lambda: next(steps) == until
    )


def same(one: VQGAN, other: VQGAN) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_a_resumed_training_ends_bit_by_bit_as_one_that_was_not_disturbed(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(Stopped, match=r"stopped before step 6 of 12; .* goes on from there"):
        train(tmp_path / "halves", until=5)
    again = train(tmp_path / "halves")

    assert same(whole, again)
    keys = ("step", "loss", "psnr")
    curves = [
        [[row.get(key) for key in keys] for row in TrainingRun(tmp_path / name, training().settings).curves()]
        for name in ("whole", "halves")
    ]
    assert curves[0] == curves[1]
    assert [row[0] for row in curves[0]] == [0, 2, 4, 6, 8, 10, 12]
    assert curves[0][0][2] is not None  # PSNR from before the first step
    assert (tmp_path / "whole" / "curves.png").stat().st_size > 1000


def test_a_kill_between_checkpoints_costs_the_steps_since_and_no_line_twice(tmp_path: Path) -> None:
    whole = train(tmp_path / "whole")
    it = training()
    run = TrainingRun(tmp_path / "killed", it.settings)

    class Killed(Exception):
        pass

    def die() -> bool:
        if len(run.curves()) > 4:  # after step 8; the checkpoint is of step 6
            raise Killed
        return False

    with pytest.raises(Killed):
        train_vqgan(it, run, held_out=HELD_OUT, should_stop=die)
    assert torch.load(run.checkpoint, weights_only=True)["step"] == 6
    assert same(whole, train(tmp_path / "killed"))
    assert [row["step"] for row in run.curves()] == [0, 2, 4, 6, 8, 10, 12]


def test_curves_of_a_run_killed_before_its_first_checkpoint_are_dropped(tmp_path: Path) -> None:
    run = TrainingRun(tmp_path, training().settings)
    run.log(2, {"loss": 9.0})
    assert run.load() is None
    assert run.curves() == []


def test_other_settings_are_refused_but_more_steps_go_on(tmp_path: Path) -> None:
    train(tmp_path, steps=6)
    with pytest.raises(TrainingBroken, match=r"other settings \(lr\)"):
        TrainingRun(tmp_path, training(lr=0.5).settings)
    train(tmp_path, steps=8)
    assert TrainingRun(tmp_path, training(steps=8).settings).curves()[-1]["step"] == 8


def test_settings_of_another_version_or_damaged_are_refused_with_a_checkpoint_beside_them(tmp_path: Path) -> None:
    settings = training().settings
    kept = tmp_path / "settings.json"
    kept.write_text(json.dumps(settings.model_dump(mode="json") | {"visions": 0}), encoding="utf-8")
    TrainingRun(tmp_path, settings)  # nothing to go on with: begun again
    assert "visions" not in json.loads(kept.read_text(encoding="utf-8"))
    (tmp_path / "checkpoint.pt").write_bytes(b"a checkpoint")
    for content, said in (('{"visions": 0}', r"does not have \(visions\)"), ('{"lr', "can't be read")):
        kept.write_text(content, encoding="utf-8")
        with pytest.raises(TrainingBroken, match=said):
            TrainingRun(tmp_path, settings)
        assert kept.read_text(encoding="utf-8") == content


def test_a_training_from_before_a_setting_existed_goes_on_where_that_setting_is_neutral(tmp_path: Path) -> None:
    train(tmp_path, steps=6)
    kept = json.loads((tmp_path / "settings.json").read_text(encoding="utf-8"))
    older = {name: value for name, value in kept.items() if name not in ("calm", "calm_batch", "perceptual_side")}
    (tmp_path / "settings.json").write_text(json.dumps(older), encoding="utf-8")
    with pytest.raises(TrainingBroken, match=r"other settings \(calm\)"):
        TrainingRun(tmp_path, training(calm=0.5).settings)
    train(tmp_path, steps=8)
    assert TrainingRun(tmp_path, training(steps=8).settings).curves()[-1]["step"] == 8


def test_a_damaged_checkpoint_and_one_of_another_model_are_refused(tmp_path: Path) -> None:
    it = training()
    run = TrainingRun(tmp_path, it.settings)
    run.checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingBroken, match="can't be read"):
        train_vqgan(it, run)
    run.save(1, {"model": {}, "averaged": {}, "adam": {}, "codes": {}})
    with pytest.raises(TrainingBroken, match="of another model"):
        train_vqgan(it, run)


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_good_checkpoint(tmp_path: Path) -> None:
    train(tmp_path, steps=6)
    it = training(steps=12)

    class Broken(Blots):
        def batch(self, n: int, seed: int, step: int, worker: int) -> Tensor:
            return super().batch(n, seed, step, worker) * float("nan")

    it.pictures = Broken()
    with pytest.raises(TrainingBroken, match="the loss became nan at step 8: try a smaller learning rate"):
        train_vqgan(it, TrainingRun(tmp_path, it.settings))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 6


def test_nothing_is_quantised_in_the_first_steps_and_codes_begin_on_latents() -> None:
    it = training()
    codes = it.model.codebook.data.clone()
    for step in range(4):
        assert float(it.step(step)["commitment"]) == 0
    assert torch.equal(it.model.codebook.data, codes)
    assert float(it.step(4)["commitment"]) > 0
    assert not torch.equal(it.model.codebook.data, codes)


def test_training_makes_reconstructions_better() -> None:
    it = training(steps=120, lr=1e-2, autoencoder_steps=40, average=0.9)
    shown = Blots().batch(8, 1, 0, 0)
    before = float(psnr(it.reconstruct(shown), shown).mean())
    for step in range(120):
        it.step(step)
    assert float(psnr(it.reconstruct(shown), shown).mean()) > before + 0.6


@pytest.mark.parametrize("mixed", [False, True])
def test_what_a_calm_model_draws_is_read_as_it_was_drawn(mixed: bool) -> None:
    """The same steps with and without the term: with it, latents of drawn codes (of a picture, or of two side by side)
    are nearer to them."""

    def after(**changes: object) -> tuple[float, float]:
        it = training(steps=150, lr=1e-2, autoencoder_steps=40, average=0.9, **changes)
        assert ("calm" in it.step(0)) == bool(changes)
        for step in range(1, 150):
            it.step(step)
        shown = Blots().batch(16, 1, 0, 0)
        model = it.result()
        with torch.no_grad():
            codes = model.look_up(model.tokenise(model.encode(shown)))
            if mixed:
                codes[..., 2:] = codes.roll(1, 0)[..., 2:]
            again = model.encode(model.decode(codes).clamp(0, 1))
        return float((again - codes).square().mean()), float(redrawn(model, shown).mean())

    (far, _), (near, change) = after(), after(calm=1.0, calm_batch=0, calm_mixed=mixed)
    assert near < 0.8 * far
    assert 0 <= change < 255


@pytest.mark.minutes
def test_a_calm_model_draws_moved_pictures_again_as_they_are() -> None:
    def after(**changes: object) -> tuple[float, float]:
        it = training(steps=150, lr=1e-2, autoencoder_steps=40, average=0.9, calm=0.3, calm_batch=0, **changes)
        for step in range(150):
            it.step(step)
        figures = redrawn_figures(it.result(), Blots().batch(16, 1, 0, 0))
        return figures["still"], figures["moved"]

    (_, without), (_, moved) = after(), after(calm_moved=True)
    assert moved < without


def test_a_model_that_gives_back_what_it_sees_redraws_nothing() -> None:
    class Mirror:
        codebook = torch.zeros(1)

        def encode(self, pictures: Tensor) -> Tensor:
            return pictures

        quantise = decode = encode

    assert redrawn(Mirror(), HELD_OUT).tolist() == [0, 0, 0]  # type: ignore[arg-type]


def test_the_perceptual_loss_looks_at_crops_on_the_grid_of_the_codes() -> None:
    whole, crops = training(), training(perceptual_side=8)
    assert whole._crop(16, 0) == (0, 0, 16)
    places = {crops._crop(16, step) for step in range(40)}
    assert places == {(top, left, 8) for top in (0, 4, 8) for left in (0, 4, 8)}
    assert crops._crop(16, 3) == crops._crop(16, 3)


def test_a_discriminator_joins_and_is_kept_in_checkpoints() -> None:
    it = training(discriminator=0.1, discriminator_from=0.5, steps=8)
    assert "discriminator" not in it.step(0)
    assert "critic" in it.step(4)
    other = training(discriminator=0.1, steps=8)
    other.load_state_dict(it.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(it.critic.parameters(), other.critic.parameters(), strict=True))


def test_codes_move_to_the_mean_of_their_latents_and_others_stay() -> None:
    codes = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    book = RunningCodebook(codes, decay=0.5)
    for _ in range(60):
        book.update(torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([0, 0]))
    assert torch.allclose(codes, torch.tensor([[2.0, 0.0], [10.0, 10.0]]), atol=1e-3)


def test_dead_codes_move_to_latents_only_when_asked() -> None:
    codes = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    book = RunningCodebook(codes, decay=0.5)
    latents = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    for _ in range(12):
        book.update(latents, torch.tensor([0, 0]))
    assert float(book.counts[1]) < book.dead
    book.update(latents, torch.tensor([0, 0]), torch.Generator().manual_seed(0))
    assert codes[1].tolist() in latents.tolist()
    assert float(book.counts[1]) > book.dead


def test_the_learning_rate_rises_stays_and_falls() -> None:
    factors = [trapezoid(step, 100, warm_up=10, cool_down=0.2) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:80] == [1.0] * 71
    assert factors[-1] == pytest.approx(0.05)


WORKER = """
import sys, torch, torch.distributed as dist
from tests.unit.renderers.training.test_vqgan import training
torch.set_num_threads(1)
rank, rendezvous, target = int(sys.argv[1]), sys.argv[2], sys.argv[3]
dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
it = training(workers=2, batch=4, autoencoder_steps=0, spread=0.0, unquantised=0.0)
for step in range(6):
    it.step(step)
torch.save({key: value.contiguous() for key, value in it.model.state_dict().items()}, f"{target}.{rank}")
dist.destroy_process_group()
"""


@pytest.mark.timeout(240)
@pytest.mark.minutes
def test_two_workers_learn_what_one_learns_from_both_batches(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER]
    places = [str(tmp_path / "rendezvous"), str(tmp_path / "weights")]
    root = ROOT
    workers = [subprocess.Popen([*command, str(rank), *places], cwd=root) for rank in range(2)]
    alone = training(batch=8, autoencoder_steps=0, spread=0.0, unquantised=0.0)
    for step in range(6):
        alone.step(step)
    assert [worker.wait(200) for worker in workers] == [0, 0]

    first, second = (torch.load(tmp_path / f"weights.{rank}", weights_only=True) for rank in range(2))
    for key, value in alone.model.state_dict().items():
        assert torch.equal(first[key], second[key]), key
        assert torch.allclose(first[key], value, atol=2e-4), key  # sums in another order, through six steps of Adam
