"""Kept: what a network made of an input, for the next time, as long as its weights are what they were."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from operator import is_
from typing import Generic, Protocol, TypeVar

import torch
from torch import Tensor

WINDOW = 8  # values of a weight that are compared; `tiny`'s autoencoder and text encoder take .03 ms
CACHE_BYTES = 128 * 2**20  # bytes: 40 decoded pictures of 512 x 512, 2,700 of 64 x 64


class Sized(Protocol):
    """An array or tensor."""

    @property
    def nbytes(self) -> int:
        """How much memory its values take."""


Value = TypeVar("Value", bound=Sized)


class Cache(Generic[Value]):
    """Arrays or tensors by key, those that were used last, up to `limit` bytes; 0 keeps nothing.

        states = Kept[Tensor]()
        a, b, a = states.of(["a", "b", "a"], lambda missing: read(missing))    # reads numbers [0, 1], or fewer

    Threads may share one; ValueError for a limit that is no number of bytes.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
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
            values = {key: self._values[key] for key in keys if key in self._values}
            for key in values:
                self._values.move_to_end(key)
        missing: dict[Hashable, int] = {}
        for number, key in enumerate(keys):
            if key not in values:
                missing.setdefault(key, number)
        if missing:
            made = make(list(missing.values()))
            values.update(zip(missing, made, strict=True))
            with self._lock:
                for key in missing:
                    self._put(key, values[key])
        return [values[key] for key in keys]

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

    Parts that are exchanged, added or taken out, other devices and dtypes, and autocast count too. A write through
    `weight.data`, which torch does not count, is noticed on the CPU if it touches one of the WINDOW values in the
    middle of each weight, which are compared; on an accelerator it is not, for to look there would wait for the device.
    Nor is what leaves no trace in weights: a hook that changes an answer, an adapter's scale, an autoencoder's tiling.
    """

    def __init__(self) -> None:
        self._seen: tuple[Places, list[int], list[object], list[Tensor], Tensor | None] | None = None

    def changed(self, module: torch.nn.Module, *more: object) -> bool:
        """Whether it is otherwise than at the last call, or one of `more` is another object; True the first time.

        Always True for weights that do not count what is written to them (made in inference mode).
        """
        now = Places(module)
        if any(weight.is_inference() for weight in now.weights):
            self._seen = None
            return True
        writes = [weight._version for weight in now.weights]
        device = now.weights[-1].device.type if now.weights else "cpu"
        mode = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device)
        things = [*more, mode]
        before = self._seen
        same = before is not None and before[0] == now and before[1] == writes and _are(before[2], things)
        windows = before[3] if before is not None and same else _windows(now.weights)
        sample = torch.cat(windows) if windows else None
        self._seen = now, writes, things, windows, sample
        if before is None or not same:
            return True
        return sample is not None and before[4] is not None and not torch.equal(sample, before[4])


class Places:
    """A network's parts and weights (buffers among them), and where these lie: equal as long as none was exchanged.

    They are held, so that none is taken for another that came to lie where it was.
    """

    def __init__(self, module: torch.nn.Module) -> None:
        # module.modules() and parameters() take ten times as long, and this is asked before every picture.
        self.parts: list[torch.nn.Module | None] = [module]
        places: list[Tensor | None] = []
        for part in self.parts:  # which grows meanwhile
            if part is None:
                continue
            if part._modules:
                self.parts.extend(part._modules.values())
            if part._parameters:
                places.extend(part._parameters.values())
            if part._buffers:
                places.extend(part._buffers.values())
        self.weights = [weight for weight in places if weight is not None]
        self.addresses = [weight.data_ptr() for weight in self.weights]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Places):
            return NotImplemented
        return (
            self.addresses == other.addresses
            and _are(self.weights, other.weights)
            and _are(self.parts, other.parts)
        )


def _are(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether these are the same objects, in the same order."""
    return len(some) == len(others) and all(map(is_, some, others))


def _windows(weights: Sequence[Tensor]) -> list[Tensor]:
    """The bytes of WINDOW values in the middle of each weight that lies on the CPU, as views of its memory."""
    views = []
    for weight in weights:
        if weight.device.type != "cpu" or type(weight) not in (Tensor, torch.nn.Parameter):
            continue  # what another class of tensor holds is not known here
        if weight.layout != torch.strided or not weight.numel():
            continue
        count = min(WINDOW, weight.numel())
        # In memory: the order does not matter.
        middle = weight.storage_offset() + (weight.numel() - count) // 2
        if (middle + count) * weight.element_size() <= weight.untyped_storage().nbytes():
            views.append(weight.detach().as_strided((count,), (1,), middle).view(torch.uint8))
    return views
