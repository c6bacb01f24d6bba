"""Fields: whether what a config file says of a dataclass's fields is of the kinds that these are annotated with."""

from __future__ import annotations

import math
import re
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from ..utils.errors import UsageError

_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    NoneType: "null",
    dict: "a mapping",
    tuple: "a list",
}
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}
_EXPONENT = re.compile(r"^[+-]?\d+e[+-]?\d+$", re.IGNORECASE)


def check_fields(kind: type, values: dict[str, Any], where: str = "") -> None:
    """ValueError naming the first field of the dataclass `kind` whose value is of another kind than its annotation.

    values: field -> value, lists as tuples. where: what stands before the names in messages ("data."). A whole
    number is a number too, true and false are neither; numbers are finite.
    """
    hints = get_type_hints(kind)
    for name, value in values.items():
        if fits(value, hints[name]):
            continue
        hint = ""
        if isinstance(value, str) and _EXPONENT.match(value):  # YAML 1.1 wants a point before an exponent
            digits, _, exponent = value.lower().partition("e")
            hint = f" (YAML reads that as text: write {digits}.0e{exponent})"
        raise UsageError(f"expected `{where}{name}` to be {spoken(hints[name])}, got {value!r}{hint}")


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated kind: a class, Any, a union, tuple[x, ...] or dict[k, v]."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(fits(each, inner[0]) for each in value)
    if origin is dict:
        return isinstance(value, dict) and all(
            fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items()
        )
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind)


def spoken(kind: Any) -> str:
    """An annotated kind in words: "a whole number", "a list of numbers or null"."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(spoken(each) for each in inner)
    if origin is tuple and inner[0] in _MANY:
        return f"a list of {_MANY[inner[0]]}"
    if origin is dict and inner[1] in _MANY:
        return f"a mapping of names to {_MANY[inner[1]]}"
    return _WORDS.get(origin or kind, getattr(kind, "__name__", str(kind)))
