"""Old names of keywords and attributes, accepted for one more release with a DeprecationWarning."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


def accept_old_keywords(**names: str) -> Callable[[Function], Function]:
    """Make a decorator for a function some of whose keywords have new names.

    Args:
        names: old="new", keyword by keyword.

    Returns:
        A decorator: the function as it was, which takes the old keywords too.
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def accepting(*args: Any, **keywords: Any) -> Any:
            return function(*args, **with_new_names(keywords, names, stacklevel=2, once=False))

        return accepting  # type: ignore[return-value]

    return decorate


def with_new_names(
    keywords: dict[str, Any], names: Mapping[str, str], stacklevel: int = 2, *, once: bool = True
) -> dict[str, Any]:
    """Give keywords their new names.

    Args:
        keywords: Keyword -> value; one that is None under its old name is left out.
        names: Old name -> new name.
        stacklevel: Of the warning, counted from the caller of this function.
        once: Whether a keyword may come under one of its names only; else the old one counts, as in
            `dataclasses.replace`, which gives all fields under their new ones.

    Returns:
        The keywords under their new names; the same object where none is old.

    Raises:
        ValueError: For a keyword that comes under both names.
    """
    old = [name for name in names if name in keywords]
    if not old:
        return keywords
    renamed = dict(keywords)
    for name in old:
        value, new = renamed.pop(name), names[name]
        if value is None:
            continue
        warnings.warn(f"{name} is now called {new}: say that", DeprecationWarning, stacklevel=stacklevel + 1)
        if once and renamed.get(new) is not None:
            raise ValueError(f"{name} is the old name of {new}: leave it out")
        renamed[new] = value
    return renamed


def old_attribute(name: str, new: str) -> property:
    """Make a property that answers under an attribute's old name.

    Args:
        name: The old name.
        new: The new one.

    Returns:
        The property, to be assigned to the old name in the class.
    """

    def get(self: Any) -> Any:
        message = f"{type(self).__name__}.{name} is now called {new}: say that"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return getattr(self, new)

    return property(get, doc=f"`{new}`, as it was called before.")


def old_members(module: str, **names: Callable[[], Any]) -> Callable[[str], Any]:
    """Make a module's `__getattr__` for what it held under other names.

    Args:
        module: The module's `__name__`.
        names: Old name -> what gives the thing it stands for now.

    Returns:
        The function, to be assigned to `__getattr__` in the module.
    """

    def get(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        thing = names[name]()
        where = f"{thing.__module__}.{thing.__qualname__}"
        warnings.warn(f"{module}.{name} is {where} now: say that", DeprecationWarning, stacklevel=2)
        return thing

    return get
