"""What is derived from the row's schema."""

from __future__ import annotations

from io import StringIO

from manifests.building import build
from manifests.results import GoodRow
from manifests.schema.describe import known_columns, nested_columns


def test_the_columns_that_hold_lists_or_settings() -> None:
    groups = {"cutouts", "depth", "loss", "hold", "renew", "source", "optimiser", "warm", "finish", "review"}
    assert (
        nested_columns() == {"prompts", "regions", "image_prompts", "noise_prompts", "axes", "bands", "heard"} | groups
    )
    assert nested_columns() < known_columns()


def test_a_text_that_looks_like_json_stays_a_text() -> None:
    source = StringIO('video_id,prompt,zoom,loss\na,[a red apple],"1","{""tv"": 2}"\n')
    (row,) = build(source, "csv")
    assert isinstance(row, GoodRow), row
    assert row.row.prompt == "[a red apple]"
    assert row.row.loss.tv == 2
