"""Memory: what a run takes and what is free, so that one that cannot fit is refused before it begins."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..imaging.resize import scaled_size

SPARE = 0.95  # share of the free memory that a run may plan with
UNCHECKED = 2**26  # bytes: where no more is needed, what is free is not looked up
# Values that lie in memory at once at the peak, measured with float32 and bfloat16 on a CPU (docs/memory.md): of the
# autoencoder a pixel and channel of its widest level, of the UNet a latent cell and channel.
_ENCODE, _DECODE, _UNET = 5.0, 5.6, 35.0
_PICTURE = 60  # bytes a pixel of the pictures around the networks: uint8 in, float32 in, out, and the copy's
_CANVAS = 160  # bytes a pixel of a picture in tiles: sums and weights of two blends, and what lays them on the source

_SMALLER = (3, 2, 1.5, 1, 0.75, 0.5, 0.25)  # zooms that are proposed where a larger one does not fit


@dataclass(frozen=True)
class Footprint:
    """What the networks of a model take while they run, beside their weights; all by their configs.

    encode, decode: values a pixel. unet: values a latent cell. workspace: values, whatever the size. factor: pixels a
    cell along each side. multiple: what a picture's sides are multiples of. itemsize: bytes a value.
    """

    encode: float
    decode: float
    unet: float
    workspace: float
    factor: int
    multiple: int
    itemsize: int = 4

    @classmethod
    def of(cls, unet: Sequence[float], vae: Sequence[float], itemsize: int = 4) -> Footprint:
        """That of networks with these channels a level, the finest first."""
        factor = 2 ** (len(vae) - 1)
        return cls(
            encode=_ENCODE * _widest(vae),
            # A level of the decoder begins as wide as the one below it, at its own size already.
            decode=_DECODE * _widest([max(pair) for pair in zip(vae, [*vae[1:], 0], strict=True)]),
            unet=_UNET * _widest(unet),
            workspace=18 * max(*unet, *vae) ** 2,  # the largest kernel, once more in the order a convolution wants
            factor=factor,
            multiple=factor * 2 ** (len(unet) - 1),
            itemsize=itemsize,
        )

    def networks(self, size: tuple[int, int], count: int = 1, branches: int = 1, *, vae: bool = True) -> int:
        """Bytes where the networks run: `count` pictures of `size` (height, width), with so many branches a row.

        vae: whether the autoencoder sees them whole; in tiles, it takes next to nothing.
        """
        pixels = count * size[0] * size[1]
        values = pixels / self.factor**2 * branches * self.unet
        if vae:
            values = max(values, pixels * self.encode, pixels * self.decode)
        return int((values + self.workspace) * self.itemsize)

    def pictures(self, size: tuple[int, int], count: int = 1) -> int:
        """Bytes that the pictures of a batch take on the host."""
        return count * size[0] * size[1] * _PICTURE


def _widest(channels: Sequence[float]) -> float:
    """Channels of the level that takes most memory, as if it were the finest."""
    most: float = max(c / 4**level for level, c in enumerate(channels))
    return most


def components_footprint(components: Any) -> Footprint:
    """The footprint of `models.components.Components`."""
    first = next(components.unet.parameters())
    return Footprint.of(
        components.unet.config.block_out_channels,
        components.vae.config.block_out_channels,
        first.element_size(),
    )


def folder_footprint(folder: Path, itemsize: int = 4) -> Footprint | None:
    """The footprint of a model folder in diffusers' layout, read from its configs; None where there are none."""
    try:
        unet, vae = (
            json.loads((folder / part / "config.json").read_text(encoding="utf-8"))["block_out_channels"]
            for part in ("unet", "vae")
        )
        return Footprint.of(unet, vae, itemsize)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # what is wrong with it is for the loader to say


def folder_resolution(folder: Path, footprint: Footprint) -> int | None:
    """The side in pixels at which a model folder's model was trained; None where its config does not say."""
    try:
        size = json.loads((folder / "unet" / "config.json").read_text(encoding="utf-8"))["sample_size"]
        return int(size if isinstance(size, int) else max(size)) * footprint.factor
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class Canvas:
    """The picture of `size` (height, width) that a run in tiles has most work with, and its `upscale`."""

    size: tuple[int, int]
    upscale: float = 1.0

    def bytes(self, upscale: float | None = None) -> int:
        """Bytes on the host, at this or another upscale."""
        height, width = scaled_size(self.size, self.upscale if upscale is None else upscale)
        return height * width * _CANVAS

    def describe(self) -> str:
        """It in words, as the subject of a sentence."""
        height, width = scaled_size(self.size, self.upscale)
        made = "" if self.upscale == 1 else f", made {self.upscale:g} times as large"
        return f"putting a picture of {width}x{height} pixels{made}, together of its tiles"

    def smaller(self, fits: Callable[[int], bool]) -> str:
        """What to ask for instead: the largest of the usual zooms whose bytes fit."""
        for upscale in _SMALLER:
            if upscale < self.upscale and fits(self.bytes(upscale)):
                return f"upscale={upscale:g} fits"
        return "pass a smaller picture, or a part of it"


def fitting_batch(
    footprint: Footprint,
    size: tuple[int, int],
    count: int,
    branches: int = 1,
    device: Any = "cpu",
    *,
    free: Callable[[Any], int | None] | None = None,
    canvas: Canvas | None = None,
    trained_at: int | None = None,
) -> int:
    """How many of `count` pictures that a model sees at `size` (height, width) may go through at once.

    Halved until they fit into SPARE of what is free, with a warning that names the number. free: device -> bytes, None
    where that is not known (`free_memory`). canvas: what the host needs beside, for pictures in tiles. trained_at: the
    model's own resolution, if known. MemoryError where not even one fits, with what takes most, what is free, and the
    largest resolution, or upscale, that would do.
    """
    free = free_memory if free is None else free
    host = getattr(device, "type", str(device)).partition(":")[0] == "cpu"

    beside = 0 if canvas is None else canvas.bytes()

    def need(number: int, at: tuple[int, int], further: int = beside) -> dict[Any, int]:
        networks = footprint.networks(at, number, branches, vae=False)
        pictures = footprint.pictures(at, number) + further
        return {"cpu": networks + pictures} if host else {device: networks, "cpu": pictures}

    estimate = need(count, size)
    if all(amount <= UNCHECKED for amount in estimate.values()):
        return count
    room = {place: free(place) for place in estimate}

    def fits(needed: Mapping[Any, int]) -> bool:
        return all(
            amount <= UNCHECKED or left is None or amount <= SPARE * left
            for amount, left in ((amount, room[place]) for place, amount in needed.items())
        )

    number = count
    while number > 1 and not fits(need(number, size)):
        number //= 2
    if fits(need(number, size)):
        if number < count:
            warnings.warn(
                f"{count} pictures at once do not fit into memory, {number} do: the answers are the same but for "
                f"rounding; batch_size={number} saves the attempt",
                stacklevel=2,
            )
        return number
    place, amount = max(need(1, size).items(), key=lambda item: item[1] - (room[item[0]] or 0))
    where = "memory" if place == "cpu" else f"memory of {place}"
    if canvas is not None and place == "cpu" and 2 * beside > amount:
        what, advice = canvas.describe(), canvas.smaller(lambda further: fits(need(1, size, further)))
    else:
        what = f"the model would see {size[1]}x{size[0]} pixels, which"
        advice = _smaller(size, footprint.multiple, lambda at: fits(need(1, at)))
        if trained_at is not None and min(size) > trained_at:
            advice += f"; the model was trained at {trained_at}, and is best there"
    raise MemoryError(
        f"{what} takes about {_gigabytes(amount)} of {where}, and {_gigabytes(room[place] or 0)} are free: {advice}"
    )


def _smaller(size: tuple[int, int], multiple: int, fits: Callable[[tuple[int, int]], bool]) -> str:
    """What to ask for instead of `size`: the largest resolution of its shape that fits."""
    low, high, short = 0, min(size) // multiple, min(size)
    while low < high:
        middle = (low + high + 1) // 2
        scale = middle * multiple / short
        if fits((round(size[0] * scale), round(size[1] * scale))):
            low = middle
        else:
            high = middle - 1
    if low:
        return f"a resolution of {low * multiple} fits (counted along the shorter side)"
    return "free memory, or load the model with dtype=torch.float16"


def _gigabytes(amount: float) -> str:
    """An amount of bytes, to be read."""
    return f"{amount / 1e9:,.1f} GB" if amount < 1e11 else f"{amount / 1e9:,.0f} GB"


def free_memory(device: Any = "cpu") -> int | None:
    """Bytes that a run may take on a device ("cpu", "cuda:1", a torch device); None where that is not known.

    On the host the least of what the system has available, what the control groups of the process (containers) leave,
    and what its own limit of address space (`ulimit -v`) does.
    """
    kind = getattr(device, "type", str(device)).partition(":")[0]
    if kind == "cpu":
        return _least(available_memory(), _cgroup_memory(), _address_space())
    import torch

    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if kind == "mps":
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    return None


def _least(*amounts: int | None) -> int | None:
    """The least of the amounts that are known, at least 0."""
    known = [max(0, amount) for amount in amounts if amount is not None]
    return min(known, default=None)


def available_memory() -> int | None:
    """Bytes that the system says programs may still take."""
    amount = _fields(Path("/proc/meminfo")).get("MemAvailable:")
    if amount is not None:
        return amount * 1024
    try:  # macOS and Windows: where psutil is there, as beside ComfyUI
        import psutil
    except ImportError:
        return None
    return int(psutil.virtual_memory().available)


def _cgroup_memory(groups: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes that the process's control groups leave, of version 1 or 2 and all that they lie in."""
    try:
        lines = groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    left: list[int | None] = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base = root / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        place = base / path.strip("/")
        # In a container the path may be the host's: then what is mounted is the group itself.
        for folder in (place, *place.parents):
            left.append(_left_in(folder, *names))
            if folder == base:
                break
    return _least(*left)


def _left_in(folder: Path, limit: str, usage: str, cache: str) -> int | None:
    """Bytes left in one control group; pages of files that were not used lately count as free."""
    try:
        most = (folder / limit).read_text(encoding="utf-8").strip()
        used = int((folder / usage).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not most.isdigit() or int(most) >= 2**60:
        return None  # no limit
    return int(most) - used + _fields(folder / "memory.stat").get(cache, 0)


def _address_space() -> int | None:
    """Bytes that the process's own limit of address space leaves; None where it has none."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    pages = Path("/proc/self/statm")
    if most == resource.RLIM_INFINITY or not pages.is_file():
        return None
    return most - int(pages.read_text(encoding="utf-8").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _fields(path: Path) -> dict[str, int]:
    """The numbers of a file of lines "name number"; empty where it cannot be read."""
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return {}
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}
