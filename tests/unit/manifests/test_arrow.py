import pyarrow as pa
import pytest

from manifests.checking import drop_unset
from manifests.schema import ManifestRow, Prompt, Scene, arrow_schema, row_to_arrow, rows_to_table


def test_the_schema_follows_the_class():
    schema = arrow_schema()
    assert schema.names == list(ManifestRow.model_fields)
    assert schema.field("frames").type == pa.int64()
    assert schema.field("fps").type == pa.float64()
    assert schema.field("format").type == pa.string()
    assert schema.field("cutouts").type.field("number").type == pa.int64()
    prompt = pa.struct([("text", pa.string()), ("weight", pa.string()), ("stop", pa.string())])
    image = pa.struct([("image", pa.string()), ("weight", pa.string()), ("stop", pa.string()), ("aligned", pa.bool_())])
    noise = pa.struct([("seed", pa.int64()), ("weight", pa.string())])
    scene = pa.struct([("at", pa.int64()), ("prompts", pa.list_(prompt)), ("images", pa.list_(image)),
                       ("noise", pa.list_(noise)), ("crossfade", pa.int64())])  # fmt: skip
    assert schema.field("prompts").type.equals(pa.list_(scene))
    assert schema.field("image_prompts").type.equals(pa.list_(image))
    assert b"Number of frames" in schema.field("frames").metadata[b"description"]


ROWS = [
    ManifestRow(video_id="a", prompt="an apple"),
    ManifestRow(video_id="b", prompt="a bee", frames=48, zoom="0:(1.02)", cutouts={"number": 8}, seed=2**63 - 1),
    ManifestRow(
        video_id="c",
        prompts=(Scene(prompts=(Prompt(text="x", weight=-2),)), Scene(at=3, prompts=(Prompt(text="y"),))),
        frames=9,
        image_prompts=[{"image": "a.png"}],
        noise_prompts=[{"seed": 1, "weight": 0.5}],
    ),
    ManifestRow(
        video_id="d",
        prompts=[
            {"images": [{"image": "a.png", "weight": "t/2", "aligned": True}]},
            {"at": 3, "prompts": [{"text": "y"}], "noise": [{"seed": 1, "weight": 0.5}]},
        ],
        frames=9,
    ),
]


def test_unset_is_null():
    table = rows_to_table(ROWS)
    assert table.schema.equals(arrow_schema())
    assert table.column("frames").to_pylist() == [None, 48, 9, 9]
    assert table.column("format").null_count == 4
    assert table.column("cutouts").to_pylist()[1]["degrees"] is None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.video_id)
def test_round_trip_keeps_values_and_what_was_given(row: ManifestRow):
    (values,) = rows_to_table([row]).to_pylist()
    copy = ManifestRow.model_validate(drop_unset(values))
    assert copy == row
    assert copy.model_fields_set == row.model_fields_set
    assert row_to_arrow(copy) == row_to_arrow(row)
