"""Kept: what a network made of an input, for the next time, as long as its weights are what they were."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch

KEPT = 128 * 2**20  # bytes: 40 decoded pictures of 512 x 512, 2,700 of 64 x 64


class Sized(Protocol):
    """An array or tensor."""

    @property
    def nbytes(self) -> int:
        """How much memory its values take."""


Value = TypeVar("Value", bound=Sized)


class Kept(Generic[Value]):
    """Arrays or tensors by key, those that were used last, up to `limit` bytes; 0 keeps nothing.

        states = Kept[Tensor]()
        a, b, a = states.of(["a", "b", "a"], lambda missing: read(missing))    # reads numbers [0, 1], or fewer

    Threads may share one; ValueError for a limit that is no number of bytes.
    """

    def __init__(self, limit: int = KEPT) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise ValueError(f"limit is a whole number of bytes of at least 0; got {limit!r}")
        self.limit = limit
        self._values: OrderedDict[Hashable, Value] = OrderedDict()  # the last used last
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many values are kept."""
        return len(self._values)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def of(self, keys: Sequence[Hashable], make: Callable[[list[int]], Sequence[Value]]) -> list[Value]:
        """A value a key, in their order; they are shared, not to be written to.

        make(numbers): called once where keys are missing, with the places in `keys` of their first occurrences,
        ascending; gives a value for each, which owns its memory.
        """
        with self._lock:
            found = {key: self._values[key] for key in keys if key in self._values}
            for key in found:
                self._values.move_to_end(key)
        missing: dict[Hashable, int] = {}
        for number, key in enumerate(keys):
            if key not in found:
                missing.setdefault(key, number)
        if missing:
            made = make(list(missing.values()))
            found.update(zip(missing, made, strict=True))
            with self._lock:
                for key in missing:
                    self._put(key, found[key])
        return [found[key] for key in keys]

    def forget(self, *keys: Hashable) -> None:
        """Let go of these keys' values, or of all."""
        with self._lock:
            for key in keys or tuple(self._values):
                if key in self._values:
                    self._bytes -= self._values.pop(key).nbytes

    def _put(self, key: Hashable, value: Value) -> None:
        if value.nbytes > self.limit:
            return
        if key in self._values:  # another thread was quicker
            self._bytes -= self._values.pop(key).nbytes
        self._values[key] = value
        self._bytes += value.nbytes
        while self._bytes > self.limit:
            self._bytes -= self._values.popitem(last=False)[1].nbytes


class Weights:
    """Notices when a network no longer computes what it did: weights replaced, moved, or written to.

    Modules that are exchanged for others, other devices and dtypes, and autocast count too; what leaves no trace in
    weights (a hook that changes an answer, tiling of an autoencoder) does not.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[Any, ...]] | None = None

    def changed(self, module: torch.nn.Module, *more: object) -> bool:
        """Whether it is otherwise than at the last call, or one of `more` is another object; True the first time.

        Always True for weights that do not count what is written to them (made in inference mode).
        """
        now, device = _state(module)
        if now is None:
            self._seen = None
            return True
        mode = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
        now += [(thing, 0, 0) for thing in more] + [(mode, 0, 0)]
        before, self._seen = self._seen, now
        return before is None or len(before) != len(now) or not all(map(_same, before, now))


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    return a[0] is b[0] and a[1:] == b[1:]


def _state(module: torch.nn.Module) -> tuple[list[tuple[Any, ...]] | None, str]:
    """((tensor, address, writes so far) of every weight, None where writes are not counted; the device's type).

    The tensors are held, so that none is taken for another that came to lie where it was.
    """
    found: list[tuple[Any, ...]] = []
    device, waiting = "cpu", [module]
    while waiting:  # module.parameters() takes five times as long, and this is asked before every picture
        part = waiting.pop()
        waiting += [child for child in part._modules.values() if child is not None]
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is None:
                continue
            if tensor.is_inference():
                return None, device
            found.append((tensor, tensor.data_ptr(), tensor._version))
            device = tensor.device.type
    return found, device
