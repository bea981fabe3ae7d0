"""The columns of sound: what goes together, what schedules know of music, and how long a video is."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pydantic import ValidationError

from infra.video.encoding import FORMATS
from manifests.schema import KeyframeError, Keyframes, ManifestRow, schedules
from manifests.schema.audio import Heard, heard_values, signals_used
from manifests.schema.expressions import Expression
from manifests.schema.formats import CODECS, FORMATS_WITH_SOUND


def row(**columns: Any) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "frames": 4, **columns})


def heard(**signals: list[float]) -> dict[str, Any]:
    return {"seconds": 9.5, "signals": [{"name": it, "values": heard_values(signals[it])} for it in signals]}


def message(**columns: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        row(**columns)
    return str(caught.value)


def test_the_formats_that_hold_sound_are_those_of_the_encoder() -> None:
    assert tuple(name for name, spec in FORMATS.items() if spec.sound) == FORMATS_WITH_SOUND


def test_what_was_heard_is_known_to_schedules_frame_by_frame() -> None:
    it = row(audio="a.mp3", zoom="1 + .1*loud", angle="9*loud_prev", heard=heard(loud=[0.25, 1, 0, 0.5]))
    found = schedules(it)
    assert [found["zoom"].at(frame) for frame in range(5)] == [1.025, 1.1, 1.0, 1.05, 1.05]
    assert [found["angle"].at(frame) for frame in range(4)] == [0.0, 2.25, 9.0, 0.0]
    assert found["zoom"].constant is None


def test_the_values_travel_and_equal_ones_are_one_timeline() -> None:
    it = row(audio="a.mp3", zoom="1 + .1*loud", heard=heard(loud=[0.25, 1, 0, 0.5]))
    again = ManifestRow.model_validate(it.model_dump(mode="json", exclude_none=True))
    assert again.heard == it.heard
    assert again.timeline == it.timeline
    assert Keyframes.parse(again.zoom, again.timeline) is Keyframes.parse(it.zoom, it.timeline)
    other = row(audio="a.mp3", zoom="1 + .1*loud", heard=heard(loud=[0.25, 1, 0, 0.6]))
    assert Keyframes.parse(other.zoom, other.timeline).at(3) != Keyframes.parse(it.zoom, it.timeline).at(3)
    # what does not name it does not hang on it
    assert Keyframes.parse("t/n", other.timeline) is Keyframes.parse("t/n", it.timeline)


def test_all_values_of_four_decimals_survive() -> None:
    values = [number / 10_000 for number in range(10_001)]
    it = row(audio="a.mp3", frames=10_001, zoom="1 + loud", heard=heard(loud=values))
    zoom = schedules(it)["zoom"]
    assert all(zoom.at(frame) == 1 + value for frame, value in enumerate(values))


def test_a_row_that_nobody_has_heard_is_good_and_has_no_values_yet() -> None:
    it = row(audio="a.mp3", zoom="0:(1), 2:(1/loud)", prompt="a reef:(1 + onset) | fog:(band_snare)",
             bands=[{"name": "snare", "low": 180, "high": 400}], renew={"noise": ".1*mid_prev"})  # fmt: skip
    assert signals_used(it) == {"loud", "onset", "band_snare", "mid"}
    assert schedules(it)["zoom"].constant is None
    with pytest.raises(KeyframeError, match="'loud' is known once the sound was heard"):
        schedules(it)["zoom"].at(3)
    assert signals_used(row(zoom="1.02")) == set()


def test_values_are_checked_once_they_are_known() -> None:
    silent = heard(loud=[0.5, 0, 1, 1])
    assert "division by zero" in message(audio="a.mp3", zoom="1/loud", heard=silent)
    assert "'1000*loud' is 500 at frame 0; allowed is 0.01 to 100" in message(
        audio="a.mp3", zoom="1000*loud", heard=silent
    )
    row(audio="a.mp3", zoom="1 + loud", heard=silent)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"zoom": "1 + loud"}, "'loud' is of the music: name a file of it in the column audio"),
        ({"prompt": "fog:(bass)"}, "weight of 'fog'"),
        ({"audio": "a.mp3", "zoom": "1 + lowd"}, "'lowd' is unknown; did you mean 'loud'"),
        (
            {"audio": "a.mp3", "zoom": "1 + band_kick", "bands": [{"name": "snare", "low": 180, "high": 400}]},
            "'band_kick' is none of the row's bands: there are loud, bass, mid, high, onset, band_snare",
        ),
        ({"audio": "a.mp3", "format": "gif"}, "a gif holds no sound: leave out audio, or choose format mp4 or"),
        ({"audio": "a.mp3", "format": "png"}, "a png holds no sound"),
        ({"audio": "a.mp3", "frames": 1}, "a still holds no sound"),
        ({"audio": "a.mp3", "bands": [{"name": "x", "low": 300, "high": 200}]}, "low 300 lies above high 200"),
        ({"audio": "a.mp3", "bands": [{"name": "x", "low": 300, "high": 12000}]}, "less than or equal to 11000"),
        ({"audio": "a.mp3", "bands": [{"name": "a_prev", "low": 1, "high": 2}]}, "can't end in _prev"),
        ({"audio": "a.mp3", "bands": [{"name": "X", "low": 1, "high": 2}]}, "pattern"),
        (
            {"audio": "a.mp3", "bands": [{"name": "x", "low": 1, "high": 2}, {"name": "x", "low": 1, "high": 3}]},
            "two bands are called 'x'",
        ),
        ({"seconds": 2}, "give either 'frames' or 'seconds', not both: 2 s are 48 frames, and frames is 4"),
        ({"audio": "a.mp3", "heard": {"seconds": 1, "signals": [{"name": "loud", "values": "?"}]}}, "no values"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told(columns: dict[str, Any], said: str) -> None:
    assert said in message(**columns)


def long(**columns: Any) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", **columns})


def test_a_length_in_seconds() -> None:
    assert long(seconds=2.5).frames == 60
    assert long(seconds="2.5", fps=10).frames == 25
    assert long(seconds=0.001).frames == 1
    assert long(seconds=2, frames=48).frames == 48
    assert long(seconds=2.5).format == "mp4"
    assert long(seconds=0.001).format == "png"
    for wrong in ("soon", 0, -1, math.inf, "nan", 1e9):
        with pytest.raises(ValidationError, match="seconds"):
            long(seconds=wrong)
    # a story that begins later than the length is known of
    with pytest.raises(ValidationError, match="a scene starts at frame 60, but the video ends with frame 47"):
        long(seconds=2, prompt="0: a | 60: b")
    again = ManifestRow.model_validate(long(seconds=2).model_dump(mode="json", exclude_none=True))
    assert again.frames == 48


def test_as_long_as_the_music() -> None:
    unheard = long(seconds="audio", audio="a.mp3", prompt="0: a | 60: b", loop=True, audio_start=1.5)
    assert unheard.length_unknown
    known = long(seconds="audio", audio="a.mp3", prompt="0: a | 60: b", audio_start=1.5, heard={"seconds": 9.5})
    assert (known.frames, known.format, known.length_unknown) == (192, "mp4", False)
    with pytest.raises(ValidationError, match="seconds is 'audio', but the row names none"):
        long(seconds="audio")
    with pytest.raises(ValidationError, match=r"audio_start 12 lies behind the end of the audio, which lasts 9.5 s"):
        long(seconds="audio", audio="a.mp3", audio_start=12, heard={"seconds": 9.5})


def test_names_of_music_are_names_of_expressions() -> None:
    for name in ("loud", "bass", "mid", "high", "onset", "onset_prev", "band_my_drum_2", "band_x_prev"):
        Expression(f"2*{name}")
    for name in ("loud_next", "band_", "band_X", "Loud"):
        with pytest.raises(KeyframeError):
            Expression(name)
    assert Heard(seconds=1).signals is None


# ---- formats and codecs


def test_a_codec_is_one_of_its_format() -> None:
    assert row(codec="h265").codec == "h265"
    assert row(format="webm", codec="av1", quality="best").quality == "best"
    assert "codec vp9 is none of a mp4, which holds h264 or h265 or av1: choose format webm" in message(codec="vp9")
    assert "codec h264 is none of a gif, which has no choice of codecs: choose format mp4" in message(
        format="gif", codec="h264"
    )
    assert "quality best: a gif has one quality" in message(format="gif", quality="best")
    assert set(CODECS) == {name for name, spec in FORMATS.items() if spec.join == "copy"}
    for name, codecs in CODECS.items():
        assert set(codecs[1:]) == set(FORMATS[name].others)


def test_a_still_among_videos_has_no_codec_and_stays_readable() -> None:
    still = row(frames=1, codec="h265", quality="best")
    assert (still.format, still.codec, still.quality) == ("png", None, "good")
    assert ManifestRow.model_validate(still.model_dump(mode="json", exclude_none=True)).format == "png"
