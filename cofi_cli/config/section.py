"""The base of every section of a configuration, and the types that several share."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Provider = Literal["cpu", "cuda"]
"""What onnxruntime runs models on."""


class Section(BaseModel):
    """Base of every section: frozen, and an unknown key is an error.

    The text below a field explains it, and is the help of its flag.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )
    explained: ClassVar[str] = "cofi presets NAME prints a preset with every key explained."
    """Where a user reads what its keys mean."""


def _parts(value: Any) -> Any:
    """Split ``1,32`` as the command line gives it; a list of a record becomes a tuple."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    return tuple(parts) if isinstance(parts, list) else parts


def _some(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if not values:
        raise ValueError("it is empty; give one number or more, such as 1,32")
    return values


_UNITS = {"kb": 1e3, "mb": 1e6, "gb": 1e9}


def bytes_of(size: str) -> int:
    """Return the bytes that ``5MB`` means; a kB is 1,000 of them."""
    return round(float(size[:-2]) * _UNITS[size[-2:].lower()])


def _with_unit(size: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?(kb|mb|gb)", size, re.IGNORECASE | re.ASCII):
        raise ValueError("it is no number of kB, MB or GB, such as 5MB")
    return size


Bytes = Annotated[str, AfterValidator(_with_unit)]
"""Bytes with their unit: ``5MB``."""
Size = Annotated[int, Field(ge=1)]
Pieces = Size | Literal["auto"]
"""Pieces that a tokenizer keeps; ``auto``: as few as hardly lengthen texts."""
Sizes = Annotated[tuple[Size, ...], BeforeValidator(_parts), AfterValidator(_some)]
"""Batch sizes or lengths; the text ``1,32`` is read as well."""
Lengths = Annotated[
    tuple[Size | Literal["task"], ...], BeforeValidator(_parts), AfterValidator(_some)
]
"""Lengths in tokens, and the word ``task`` for those of the task's own rows."""
