import pytest
import torch

from renderers.errors import FrameCorrupt
from renderers.frame_rendering.state import FrameState, Moments


def random_state(seed: int = 0) -> FrameState:
    chance = torch.Generator().manual_seed(seed)
    first = torch.randn(1, 4, 8, 6, generator=chance) * torch.tensor([1e-6, 1.0, 30.0, 0.0]).view(1, 4, 1, 1)
    second = torch.rand(1, 4, 8, 6, generator=chance)
    tokens = torch.randint(0, 32, (1, 8, 6), generator=chance, dtype=torch.int32)
    latent = torch.randint(0, 256, (1, 4, 8, 6), generator=chance, dtype=torch.uint8)
    return FrameState(tokens, latent, Moments.of(first, second, 87))


def test_a_state_comes_back_as_it_was_bit_by_bit() -> None:
    state = random_state()
    again = FrameState.from_bytes(state.to_bytes())
    assert torch.equal(again.tokens, state.tokens)
    assert torch.equal(again.latent, state.latent)
    assert again.tokens.dtype == torch.int32
    for name in ("first", "scale", "second"):
        assert torch.equal(getattr(again.moments, name), getattr(state.moments, name))
    assert again.moments.steps == 87
    assert again.to_bytes() == state.to_bytes() == random_state().to_bytes()


def test_condensed_moments_are_canonical() -> None:
    """What a frame hands on in memory expands to the very numbers that storage gives back."""
    moments = random_state().moments
    stored = FrameState.from_bytes(random_state().to_bytes()).moments
    for kept, read in zip(moments.expand(torch.device("cpu")), stored.expand(torch.device("cpu")), strict=True):
        assert torch.equal(kept, read)


def test_the_first_moment_keeps_each_channel_to_half_of_an_eighth_bit() -> None:
    first = torch.randn(1, 5, 16, 16, generator=torch.Generator().manual_seed(2)) * torch.logspace(-8, 4, 5).view(
        -1, 1, 1
    )
    expanded, _ = Moments.of(first, first**2, 3).expand(torch.device("cpu"))
    step = first.abs().amax(dim=(0, 2, 3), keepdim=True) / 127
    assert ((expanded - first).abs() <= step / 2 * 1.001).all()


def test_the_second_moment_is_the_mean_of_each_channel() -> None:
    second = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(4))
    _, expanded = Moments.of(second, second, 1).expand(torch.device("cpu"))
    assert expanded.shape == second.shape
    torch.testing.assert_close(expanded, second.mean(dim=(2, 3), keepdim=True).expand_as(second))


def test_silent_moments_stay_silent() -> None:
    zero = torch.zeros(1, 2, 4, 4)
    for tensor in Moments.of(zero, zero, 1).expand(torch.device("cpu")):
        assert (tensor == 0).all()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_bytes_that_were_cut_short_are_corrupt(share: float) -> None:
    data = random_state().to_bytes()
    with pytest.raises(FrameCorrupt, match="the frame's state can't be read"):
        FrameState.from_bytes(data[: int(len(data) * share)])


def test_tensors_that_are_no_state_are_corrupt() -> None:
    from safetensors.torch import save

    with pytest.raises(FrameCorrupt, match="tokens"):
        FrameState.from_bytes(save({"weights": torch.ones(3)}))
    several = {name: torch.ones(2) for name in ("tokens", "latent", "first", "scale", "second", "steps")}
    with pytest.raises(FrameCorrupt):
        FrameState.from_bytes(save(several))


def test_a_latent_survives_within_half_a_level_and_only_once() -> None:
    """Condensing what was condensed changes nothing: the state is canonical."""
    chance = torch.Generator().manual_seed(3)
    low, high = torch.tensor([-2.0, 0.5, 7.0]).view(1, 3, 1, 1), torch.tensor([1.0, 0.75, 7.0]).view(1, 3, 1, 1)
    latent = low + (high - low) * torch.rand(1, 3, 5, 4, generator=chance)
    tokens, moments = torch.zeros(1, 5, 4), Moments.of(latent, latent**2, 1)
    state = FrameState.of(tokens, latent, low, high, moments)
    expanded = state.expand(low, high)
    assert ((expanded - latent).abs() <= (high - low) / 255 * 0.501).all()
    assert torch.equal(FrameState.of(tokens, expanded, low, high, moments).latent, state.latent)


def test_the_bounds_of_the_codebook_are_levels_0_and_255() -> None:
    low, high = torch.tensor([-2.0, 0.5]).view(1, 2, 1, 1), torch.tensor([1.0, 0.75]).view(1, 2, 1, 1)
    for bound, level in ((low, 0), (high, 255)):
        state = FrameState.of(torch.zeros(1, 3, 3), bound.expand(1, 2, 3, 3), low, high, random_state().moments)
        assert (state.latent == level).all()
        torch.testing.assert_close(state.expand(low, high), bound.expand(1, 2, 3, 3))
