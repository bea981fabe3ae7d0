"""Recipes: what the file lists can be built, and what is wrong with an entry is reported."""

import pytest

from renderers.errors import BadInput, ModelFilesBroken
from renderers.models import VQGAN
from renderers.registry import Registry
from renderers.training.embedded import _start_from
from renderers.training.recipes import EMBEDDED, load_recipes, parse_recipes, recipe

SMALL = """
small:
  side: {side}
  scenes: objects
  vqgan:
    embed_dim: 4
    n_embed: 32
    ddconfig: {{z_channels: 8, resolution: 32, ch: 8, ch_mult: [1, 1, 2], num_res_blocks: 1, norm_groups: 1}}
  training: {training}
"""


def test_the_pair_that_ships_is_one_of_them():
    shipped = recipe(EMBEDDED)
    defaults = Registry().entry("embedded").defaults
    assert shipped.side == defaults["width"]
    assert shipped.vqgan.downsampling == Registry().entry("embedded").downsampling
    assert (shipped.scenes, shipped.start, shipped.training.batch) == ("objects", "", 12)


@pytest.mark.parametrize("name", load_recipes())
def test_each_can_begin(name):
    made_by = recipe(name)
    model = VQGAN(made_by.vqgan)
    if made_by.start:
        before = model.codebook.clone()
        _start_from(model, made_by)
        assert not before.equal(model.codebook)


def test_a_start_of_another_shape_is_refused():
    small = parse_recipes(SMALL.format(side=32, training="{}"))["small"].model_copy(update={"start": "embedded"})
    with pytest.raises(ModelFilesBroken, match="'small' can't start from 'embedded', a network of another shape"):
        _start_from(VQGAN(small.vqgan), small)


@pytest.mark.parametrize(
    ("side", "training", "message"),
    [(30, "{}", "no multiple of the 4 px of a token"), (32, "{speed: 1}", "speed"), (8, "{}", "greater than or equal")],
)
def test_a_wrong_entry_says_what_is_wrong(side, training, message):
    with pytest.raises(ValueError, match=message):
        parse_recipes(SMALL.format(side=side, training=training))


def test_an_unknown_name_is_reported_with_the_known():
    with pytest.raises(BadInput, match="no recipe is called 'large'; known are embedded, "):
        recipe("large")
