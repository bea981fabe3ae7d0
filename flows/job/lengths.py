"""Videos that are as long as their audio: how long that is, is written into the row while a manifest is built."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from flows.job.sounds import Sounds
from infra.storage.storage import SourceReader, StorageUnavailable, input_address
from manifests.results import GoodRow, RowProblem, RowResult
from manifests.schema import ManifestRow
from manifests.schema.describe import wrong_in
from renderers.errors import BadInput

__all__ = ["with_lengths"]


def with_lengths(results: Iterable[RowResult], reader: SourceReader, folder: str | None) -> Iterator[RowResult]:
    """Yield `results` as they are, but rows as long as their audio with that many `seconds`; paths begin in `folder`,
    the source's. What can't be heard makes its row a problem."""
    sounds = Sounds(reader)
    for result in results:
        if isinstance(result, GoodRow) and result.row.length_of_audio:
            yield _with_length(result, sounds, reader, folder)
        else:
            yield result


def _with_length(result: GoodRow, sounds: Sounds, reader: SourceReader, folder: str | None) -> RowResult:
    row = result.row
    assert row.audio is not None  # the schema sees to it
    there = row.model_copy(update={"audio": input_address(row.audio, folder, reader.policy)})
    try:
        seconds = round(sounds.seconds(there), 4)
        if seconds <= 0:
            return _problem(result, "audio_start", f"audio_start {row.audio_start:g} lies behind the end of the audio")
        values = row.model_dump(exclude_unset=True) | {"seconds": seconds}
        return result._replace(row=ManifestRow.model_validate(values))
    except (BadInput, StorageUnavailable) as error:
        return _problem(result, "audio", str(error))
    except ValidationError as error:
        return _problem(result, "seconds", f"with the {seconds:g} s of its audio: {wrong_in(error)}")


def _problem(result: GoodRow, column: str, message: str) -> RowProblem:
    return RowProblem(result.file, result.number, result.row.video_id, column, "", "", message, result.unit)
