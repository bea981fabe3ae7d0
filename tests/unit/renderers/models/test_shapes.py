"""Networks laid out without their numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn as nn

from renderers.models.shapes import give_numbers, shapes_alone


def made() -> nn.Module:
    return nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.BatchNorm1d(4), nn.MultiheadAttention(4, 2))


def test_shapes_are_those_of_the_network_and_numbers_come_later() -> None:
    wanted = made()
    with shapes_alone():
        network = made()
    assert all(value.is_meta for value in network.state_dict().values())
    given = wanted.state_dict()
    give_numbers(network, given)
    for key, value in network.state_dict().items():
        assert torch.equal(value, given[key])
        assert value.data_ptr() != given[key].data_ptr()


def test_halves_become_the_networks_own_kind() -> None:
    with shapes_alone():
        network = nn.Linear(3, 2)
    give_numbers(network, {"weight": torch.ones(2, 3).half(), "bias": torch.zeros(2).half()})
    assert network.weight.dtype is torch.float32


WHOLE = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize("state", [{}, WHOLE | {"weight": torch.ones(3, 3)}, WHOLE | {"more": torch.ones(1)}])
def test_others_are_refused(state: dict[str, torch.Tensor]) -> None:
    with shapes_alone():
        network = nn.Linear(3, 2)
    with pytest.raises(RuntimeError, match="Linear"):
        give_numbers(network, state)


def test_random_numbers_are_left_alone() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(3)
    torch.manual_seed(3)
    with shapes_alone():
        made()
    assert torch.equal(torch.rand(3), wanted)


def test_laying_out_imports_no_compiler() -> None:
    code = """
import sys, torch.nn as nn
from renderers.models.shapes import give_numbers, shapes_alone
with shapes_alone():
    network = nn.Sequential(nn.Embedding(5, 4), nn.Linear(4, 4), nn.Conv2d(3, 4, 3), nn.MultiheadAttention(4, 2))
    nn.init.normal_(network[0].weight)
print(*{"torch._dynamo", "sympy"} & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
