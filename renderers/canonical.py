"""Values in the one form that digests are made of: canonical JSON, rounded numbers, what differs from neutral."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

__all__ = ["canonical", "differing", "fields_of", "json_safe", "rounded", "sha256_of"]

# One for all digests: `json.dumps` with settings makes an encoder for every call.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

# Equals nothing that a setting can be.
_NO_NEUTRAL = object()


def canonical(value: Any) -> str:
    """`value` as JSON: names in order, no blanks, infinities as text."""
    try:
        return _ENCODER.encode(value)
    except ValueError:  # an infinity
        return _ENCODER.encode(json_safe(value))


def sha256_of(value: Any) -> str:
    """The digest of `value` as canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def rounded(value: float) -> float:
    """`value` to 12 significant digits: what was computed differs in its last bits from one machine's libm to
    another's, and both must address the same frame."""
    return float(f"{value:.12g}") + 0.0  # no negative zero


def fields_of(model: BaseModel) -> dict[str, Any]:
    """The fields of `model`, without what it has computed of them."""
    return {name: getattr(model, name) for name in type(model).model_fields}


def differing(values: Mapping[str, Any] | BaseModel, neutral: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Those of `values` that are not at the value that `neutral` has under `prefix` and their name; all that it does
    not have."""
    values = fields_of(values) if isinstance(values, BaseModel) else values
    return {name: value for name, value in values.items() if neutral.get(prefix + name, _NO_NEUTRAL) != value}


def json_safe(value: Any) -> Any:
    """Infinities as text: JSON has none, and a canonical form must not depend on a library's taste."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value
