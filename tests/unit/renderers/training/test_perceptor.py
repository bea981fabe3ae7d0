"""The perceptor's training on a tiny CLIP: it learns, its attack hurts, a resume is exact."""

import json

import pytest
import torch
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors.torch import load_file

from manifests.schema import CutoutSettings
from renderers.errors import TrainingBroken
from renderers.models.perceptor.perceptor import Perceptor
from renderers.models.perceptor.word_tokenizer import WordTokenizer, vocabulary_size
from renderers.models.vqgan.vqgan import VQGAN, DDConfig, VQGANConfig
from renderers.training.__main__ import main
from renderers.training.concepts import Concept
from renderers.training.embedded_perceptor import MERGES, PERCEPTOR_CONFIG
from renderers.training.export import write_perceptor, write_vqgan
from renderers.training.loop import train
from renderers.training.perceptor_training import PerceptorTraining, PerceptorTrainingSettings, exclusions
from renderers.training.run import TrainingRun
from renderers.training.scenes import SceneComposer
from renderers.training.sprites import Sprites
from renderers.training.word_vectors import kin_of
from renderers.word_table import WordTable

CONCEPTS = (Concept("ball", ("ball",), "ball"), Concept("box", ("box",), "box"))
CONFIG = {
    **PERCEPTOR_CONFIG,
    "model_cfg": {
        "embed_dim": 16,
        "vision_cfg": {
            **PERCEPTOR_CONFIG["model_cfg"]["vision_cfg"],
            "timm_model_name": "test_efficientnet",
            "image_size": 32,
        },
        "text_cfg": {"context_length": 20, "vocab_size": 3515, "width": 16, "heads": 2, "layers": 1},
    },
}


@pytest.fixture
def vqgan():
    torch.manual_seed(0)
    shape = DDConfig(z_channels=8, resolution=32, ch=8, ch_mult=(1, 1, 2), num_res_blocks=1, norm_groups=1)
    return VQGAN(VQGANConfig(embed_dim=4, n_embed=32, ddconfig=shape)).eval().requires_grad_(False)


@pytest.fixture
def composer():
    pixels = torch.zeros(2, 96, 96, 4, dtype=torch.uint8)
    pixels[0, 20:76, 20:76] = torch.tensor([220, 30, 35, 255], dtype=torch.uint8)
    pixels[1, 40:56] = torch.tensor([40, 90, 215, 255], dtype=torch.uint8)
    return SceneComposer(Sprites(pixels.numpy(), ("noto",) * 2, ("ball", "box"), ("ball", "box")), CONCEPTS, side=32)


def training(vqgan, composer, **settings):
    torch.manual_seed(1)
    model = CONFIG["model_cfg"]
    clip = CLIP(model["embed_dim"], model["vision_cfg"], model["text_cfg"])
    tokenizer = SimpleTokenizer(bpe_path=str(MERGES), context_length=20)
    small = {"batch": 6, "garbage": 2, "bank": 2, "ramp": 1, "trunk_from": 0, "warm_up": 0, **settings}
    return PerceptorTraining(
        clip,
        tokenizer,
        PerceptorTrainingSettings(**small),
        composer,
        vqgan,
        CutoutSettings(size_min=0.8),
        mean=0.5,
        std=0.5,
    )


def test_clean_training_learns(vqgan, composer):
    learner = training(vqgan, composer, steps=50, adversarial_from=10**6, lr=1e-2, cool_down=0)
    losses = [float(learner.step(step)["loss"]) for step in range(50)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])


def test_an_adversarial_step_moves_the_weights(vqgan, composer):
    learner = training(vqgan, composer, steps=10, adversarial_from=0)
    before = {name: value.clone() for name, value in learner.clip.state_dict().items()}
    terms = learner.step(0)
    assert set(terms) >= {"loss", "by_picture", "by_text", "similarity"}
    moved = [name for name, value in learner.clip.state_dict().items() if not torch.equal(value, before[name])]
    assert any("trunk" not in name for name in moved)
    assert not any("running_mean" in name and "trunk" in name for name in moved)  # the trunk's statistics stay


def test_the_push_hurts_and_stays_within_reach(vqgan, composer):
    learner = training(vqgan, composer, steps=10, adversarial_from=0, epsilon=2.0, garbage=0)
    scenes = composer.compose(16, 0, 0)
    tokens = learner.tokenizer(list(scenes.captions))
    wrong = torch.zeros(16, 16, dtype=torch.bool)
    with torch.no_grad():
        words = torch.nn.functional.normalize(learner.clip.eval().encode_text(tokens), dim=-1)
        both = torch.cat([words, words])  # captions, and false captions that are not looked at
    pushed = learner._attack(scenes.pictures, both, wrong, 16, 0)
    clean = learner.look(scenes.pictures, 0)
    assert float((pushed - clean).flatten(1).norm(dim=1).max()) <= 2.0 / 0.5 + 1e-4

    def loss(seen):
        with torch.no_grad():
            views = torch.nn.functional.normalize(learner.clip.eval().encode_image(seen), dim=-1)
            return float(torch.nn.functional.cross_entropy(14 * views @ words.T, torch.arange(16)))

    assert loss(pushed) > loss(clean)


def test_resume_is_exact(vqgan, composer, tmp_path):
    class Interrupted(Exception):
        pass

    def run(folder, stop_at=None):
        learner = training(vqgan, composer, steps=6, adversarial_from=2, checkpoint_every=2)

        def on_progress(progress):
            if progress.step == stop_at:
                raise Interrupted

        train(learner, TrainingRun(folder, learner.settings), on_progress=on_progress)
        return learner.averaged

    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "cut", stop_at=5)
    resumed = run(tmp_path / "cut")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize(
    "arguments",
    [
        ["perceptor", "s", "f", "--vqgan", "gone", "--from", "pair", "--clean", "--device", "cpu", "--threads", "1"],
        ["export", "gone", "gone", "target"],
    ],
)
def test_the_shell_command_takes_what_its_help_says(arguments, monkeypatch):
    """Up to the first checkpoint that it wants to read, which is not there."""
    monkeypatch.setattr("sys.argv", ["training", *arguments])
    with pytest.raises(TrainingBroken, match=r"gone/checkpoint.pt' can't be read"):
        main()


def test_what_must_not_count_as_wrong():
    """The same words, the same concept, and names of the bank that the caption has."""
    captions = ["a red ball", "two boxes", "a red ball", "a ball on a blue background"]
    wrong = exclusions(captions, torch.tensor([0, -1, 0, 0]), ["ball", "box"], torch.tensor([0, 1]))
    assert wrong.tolist() == [
        [False, False, True, True, True, False],
        [False, False, False, False, False, True],
        [True, False, False, True, True, False],
        [True, False, True, False, True, False],
    ]


def test_written_weights_are_loaded_by_those_who_render(vqgan, composer, tmp_path):
    learner = training(vqgan, composer)
    write_perceptor(CONFIG, learner.averaged, tmp_path, half=True)
    (tmp_path / MERGES.name).write_bytes(MERGES.read_bytes())
    perceptor = Perceptor.load(tmp_path, merges=MERGES.name)
    assert json.loads((tmp_path / "open_clip_config.json").read_text()) == CONFIG
    picture = torch.rand(1, 3, 32, 32)
    learner.clip.eval()
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(
            learner.clip.encode_image((picture - perceptor.mean) / perceptor.std), dim=-1
        )
        assert torch.allclose(perceptor.embed_pictures(picture), wanted, atol=2e-2)

    write_vqgan(vqgan.config, vqgan.state_dict(), tmp_path, half=True)
    kinds = {value.dtype for name, value in load_file(tmp_path / "vqgan.safetensors").items() if value.ndim >= 2}
    assert kinds == {torch.float16}
    loaded = VQGAN.load(tmp_path / "vqgan.yaml", tmp_path / "vqgan.safetensors")
    assert torch.allclose(loaded.codebook, vqgan.codebook, atol=1e-3)


KIN = WordTable(("a", "ball", "box", "globe"), ("a", "ball", "box", "ball"), (100, 100, 100, 80))


def of_whole_words(vqgan, composer, **settings):
    torch.manual_seed(1)
    model = {**CONFIG["model_cfg"], "text_cfg": {**CONFIG["model_cfg"]["text_cfg"], "vocab_size": vocabulary_size(KIN)}}
    clip = CLIP(model["embed_dim"], model["vision_cfg"], model["text_cfg"])
    small = {"batch": 6, "garbage": 2, "bank": 2, "ramp": 1, "trunk_from": 0, "warm_up": 0, **settings}
    return PerceptorTraining(
        clip, WordTokenizer(KIN, 20), PerceptorTrainingSettings(**small), composer, vqgan, CutoutSettings(size_min=0.8),
        mean=0.5, std=0.5, kin=kin_of(KIN),
    )  # fmt: skip


def test_of_whole_words_no_more_is_computed_than_there_is(vqgan, composer):
    learner = of_whole_words(vqgan, composer)
    learner.clip.eval()
    tokens = learner.tokenizer(["a ball", "a box and a ball and a globe", ""])
    with torch.no_grad():
        torch.testing.assert_close(learner.read(tokens), learner.clip.encode_text(tokens), atol=1e-5, rtol=1e-4)


def test_words_that_mean_the_same_stand_for_some_and_their_vectors_stay(vqgan, composer):
    learner = of_whole_words(vqgan, composer, steps=10, adversarial_from=0, kin=0.5)
    tokens = learner.tokenizer(["a ball a box"] * 100)
    changed = learner.among_kin(tokens, 3)
    assert torch.equal(changed, learner.among_kin(tokens, 3))
    assert not torch.equal(changed, learner.among_kin(tokens, 4))
    balls = changed[:, 1]
    assert set(balls.tolist()) == {2, 4}  # ball, globe
    assert 30 < int((balls == 4).sum()) < 70
    others = [0, 2, 3, 4, 5]
    assert torch.equal(changed[:, others], tokens[:, others])
    before = {name: value.clone() for name, value in learner.clip.state_dict().items()}
    learner.step(0)
    after = learner.clip.state_dict()
    assert torch.equal(before["token_embedding.weight"], after["token_embedding.weight"])
    assert not torch.equal(before["text_projection"], after["text_projection"])


def test_a_locked_picture_tower_stays_until_it_is_free(vqgan, composer):
    learner = of_whole_words(vqgan, composer, steps=10, adversarial_from=10, locked=1)

    def moved(step):
        before = {name: value.clone() for name, value in learner.clip.state_dict().items()}
        learner.step(step)
        after = learner.clip.state_dict()
        return {name for name, value in before.items() if not torch.equal(value, after[name])}

    first, second = moved(0), moved(1)
    assert first
    assert not any(name.startswith("visual.") for name in first)
    assert any(name.startswith("visual.trunk") for name in second)
    assert any(name.startswith("visual.head") for name in second)


def test_all_names_are_wrong_but_those_that_a_picture_shows(vqgan, composer):
    learner = of_whole_words(vqgan, composer, names_every=5)
    learner.clip.eval()
    assert learner.wrong_names(["a ball"], torch.tensor([0])) is None
    learner.read_names(1)
    first = learner.named
    assert first.shape == (2, 16)
    with torch.no_grad():
        alone = torch.nn.functional.normalize(learner.read(learner.tokenizer(["a box"])), dim=-1)
    torch.testing.assert_close(first[1:], alone, atol=1e-5, rtol=1e-4)
    learner.read_names(4)
    assert learner.named is first
    learner.read_names(5)
    assert learner.named is not first
    named, shown = learner.wrong_names(["two balls, flat", "a red thing", "a box"], torch.tensor([-1, 0, 1]))
    assert named is learner.named
    assert shown.tolist() == [[True, False], [True, False], [False, True]]
    fewer = learner.losses(alone, torch.cat([alone, -alone]), torch.zeros(1, 1, dtype=torch.bool), 1)
    more = learner.losses(alone, torch.cat([alone, -alone]), torch.zeros(1, 1, dtype=torch.bool), 1, (named, shown[2:]))
    assert more[0] > fewer[0]
    assert more[1] == fewer[1]


def test_part_of_the_cutouts_may_stay_clean(vqgan, composer):
    learner = training(vqgan, composer, steps=10, adversarial_from=0, epsilon=2.0, attacked=0.5)
    scenes = composer.compose(10, 0, 0)
    words = torch.nn.functional.normalize(torch.randn(16, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    pushed = learner._attack(scenes.pictures, words, torch.zeros(8, 8, dtype=torch.bool), 8, 0)
    moved = (pushed - learner.look(scenes.pictures, 0)).flatten(1).norm(dim=1)
    assert moved[4:8].tolist() == [0] * 4
    assert all(moved[[0, 1, 2, 3, 8, 9]] > 0)


def test_a_head_may_learn_more_slowly(vqgan, composer):
    def head_moved(**settings):
        learner = training(vqgan, composer, steps=10, adversarial_from=10, **settings)
        before = learner.clip.visual.head.proj.weight.clone()
        learner.step(0)
        assert {id(p) for p in learner.weights} == {id(p) for p in learner.clip.parameters()}
        return float((learner.clip.visual.head.proj.weight - before).detach().abs().max())

    assert head_moved(head_rate=0.1) == pytest.approx(0.1 * head_moved(), rel=0.1)
