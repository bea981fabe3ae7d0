"""The docstring that Prefect's form reads, made from the annotations of the parameters."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import Field

from flows.orchestration.forms.descriptions import described, fields_of

Size = Annotated[int, Field(description="how large", ge=1)]


def test_a_docstring_is_completed_with_what_the_annotations_say() -> None:
    @described
    def make(size: Size, side: Annotated[Size, Field(description="pixels, each way")] = 3) -> None:
        """Make it.

        At once.
        """

    assert make.__doc__ == "Make it.\n\nAt once.\n\nArgs:\n    size: how large\n    side: pixels, each way"
    make(3)


def test_a_parameter_without_a_description_is_refused() -> None:
    def make(size: Size, side: Annotated[int, Field(ge=1)]) -> None:
        """Make it."""

    with pytest.raises(TypeError, match="make: parameter 'side' has no description"):
        described(make)


def test_fields_of_an_annotation_are_all_found() -> None:
    assert fields_of(int) == []
    assert [field.description for field in fields_of(Annotated[Size, "a note", Field(lt=9)])] == ["how large", None]
