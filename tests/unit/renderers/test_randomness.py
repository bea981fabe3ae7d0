"""Addresses of draws: stable for ever, and different wherever anything of the address is."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from renderers.randomness import address, generator

addresses = st.tuples(
    st.integers(0, 2**63 - 1),
    st.integers(0, 10**6),
    st.integers(0, 10**4),
    st.sampled_from(["init", "latent", "grain 1"]),
)


@given(addresses, addresses)
def test_two_addresses_are_one_draw_only_when_they_are_equal(one: tuple, other: tuple) -> None:
    assert (address(*one) == address(*other)) == (one == other)
    assert 0 <= address(*one) < 2**63


def test_an_address_never_changes() -> None:
    """Stored frames hang on it: when this fails, plan.ALGORITHM must be raised."""
    assert address(0, 0, 0, "init") == 189692154973396083
    assert address(2**63 - 1, 47, 7, "cutouts 0") == 3973376171245933494


def test_neighbours_share_nothing() -> None:
    seeds = {address(seed, frame, step, "grain") for seed in range(10) for frame in range(10) for step in range(10)}
    assert len(seeds) == 1000


def test_a_draw_does_not_hang_on_what_was_drawn_before() -> None:
    torch.manual_seed(1)
    first = torch.randn(5, generator=generator(3, 2, 1, "latent"))
    torch.randn(99)
    assert torch.equal(first, torch.randn(5, generator=generator(3, 2, 1, "latent")))
    assert not torch.equal(first, torch.randn(5, generator=generator(3, 2, 2, "latent")))
