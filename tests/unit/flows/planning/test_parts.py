"""How a manifest is cut into parts: how many, in which order, and what stays together."""

from __future__ import annotations

import random

import pytest

from flows.planning.parts import cut, cut_in_order


def parts(videos: list[tuple[str, str | None]], most: int) -> list[list[str]]:
    made = cut(videos, most)
    return [[video for video, _ in videos if made.part[video] == number] for number in range(1, made.many + 1)]


def alone(names: str) -> list[tuple[str, str | None]]:
    return [(name, None) for name in names]


@pytest.mark.parametrize(
    ("videos", "most", "made"),
    [
        ([], 3, []),
        (alone("abc"), 3, ["abc"]),
        (alone("abcdefg"), 3, ["abc", "def", "g"]),
        # a family is together, wherever its rows stand, also where one stands before what it continues
        ([("a", None), ("b", "d"), ("c", None), ("d", None), ("e", "b")], 2, ["a", "bde", "c"]),
        ([("a", None), ("b", "a"), ("c", None), ("d", "c")], 2, ["ab", "cd"]),
        # what is continued lies in storage: nothing to wait for
        ([("a", "stored"), ("b", "stored")], 1, ["a", "b"]),
        # a circle is refused by the part that has it
        ([("a", "b"), ("b", "a"), ("c", "a"), ("d", "d")], 3, ["abc", "d"]),
    ],
)
def test_parts(videos: list[tuple[str, str | None]], most: int, made: list[str]) -> None:
    assert ["".join(part) for part in parts(videos, most)] == made


def test_each_video_is_in_one_part_with_what_it_continues() -> None:
    chance = random.Random(23)
    for _ in range(200):
        names = [f"v{number}" for number in range(chance.randrange(1, 40))]
        videos = [(name, chance.choice([None, None, chance.choice(names)])) for name in names]
        most = chance.randrange(1, 9)
        made = cut(videos, most)

        assert sorted(made.part) == sorted(names)
        assert set(made.part.values()) == set(range(1, made.many + 1))
        assert all(parent is None or made.part[video] == made.part[parent] for video, parent in videos)
        for part in parts(videos, most):
            families = {name for name in part if dict(videos)[name] is None}
            assert len(part) <= most or len(families) <= 1


def test_a_long_way_back_is_no_deep_recursion() -> None:
    videos = [("v0", None), *((f"v{number}", f"v{number - 1}") for number in range(1, 100_000))]
    assert cut(reversed(videos), 10).many == 1


def test_videos_that_continue_none_are_cut_in_their_order_by_what_little_is_kept_of_each() -> None:
    for many, most in ((0, 3), (1, 3), (3, 3), (7, 3), (9, 3)):
        videos = [(f"v{number}", None) for number in range(many)]
        whole, in_order = cut(videos, most), cut_in_order(videos, most)
        assert in_order is not None
        assert in_order.many == whole.many
        number = in_order.numbering()
        assert [number(video) for video, _ in videos] == [whole.part[video] for video, _ in videos]
        assert number("beyond") is None
    assert cut_in_order([("a", None), ("b", "a")], 3) is None
    changed = cut_in_order([("a", None), ("b", None)], 1)
    assert changed is not None
    number = changed.numbering()
    assert [number("a"), number("new")] == [1, None]
