"""Image files: opened by what they hold, only in the formats meant, and whatever is wrong with one said alike.

Pillow chooses a decoder by a file's first bytes, whatever its name; some decoders start other programs (PostScript),
others raise whatever comes to hand. All files of images that others made are opened here.
"""

from __future__ import annotations

import io
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from ..utils.file_kinds import describe_content

MAX_PIXELS = 64_000_000  # checked before anything is decoded
# As Pillow calls them. None of their decoders starts a program; MPO, what phones write, is read as JPEG.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "DIB", "PPM", "AVIF", "JPEG2000")
EXTENSIONS = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .mpo .webp .gif .tif .tiff .bmp .dib .ppm .pgm .pbm .pnm .pfm .avif .avifs .jp2 "
    ".j2k .jpx .jpf .jpc .j2c".split()
)
# Of images that are not read: a folder's are reported rather than passed over.
OTHER_EXTENSIONS = frozenset(
    ".heic .heif .hif .jxl .svg .psd .dds .tga .icb .vda .vst .ico .cur .icns .exr .qoi .eps .ps .blp .pcx .dcx .pcd "
    ".sgi .rgb .rgba .bw .ras .fit .fits .fli .flc .ftc .ftu .gbr .im .msp .pxr .emf .wmf .xbm .xpm".split()
)


class UnreadableImage(ValueError):
    """A file that cannot be read as an image; the message names it and says why. `reason`: why, alone."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name} {reason}")
        self.reason = reason


@contextmanager
def open_image(
    source: Path | bytes, name: str, *, max_pixels: int = MAX_PIXELS, load: bool = True
) -> Iterator[Image.Image]:
    """Open an image file, its first frame, with its pixels.

    Args:
        source: A regular file, or the bytes of one.
        name: What messages call it.
        max_pixels: The most that are taken, width times height; told before anything is decoded.
        load: Whether the pixels are decoded too; what is wrong with them else shows when they are.

    Yields:
        The image.

    Raises:
        UnreadableImage: No image of `FORMATS`, damaged, larger than `max_pixels`, or not a regular file.
        FileNotFoundError: There is no such file.
        IsADirectoryError: It is a folder.
    """
    if isinstance(source, Path):
        _check_regular(source, name)
        with open(source, "rb") as stream, _decode(stream, name, max_pixels, load) as image:
            yield image
    else:
        if not source:
            raise UnreadableImage(name, "is an empty file, not a picture")
        with _decode(io.BytesIO(source), name, max_pixels, load) as image:
            yield image


def first_frame(image: Image.Image, name: str) -> int:
    """Turn an image that a caller may have opened to its first frame, with its pixels.

    Args:
        image: The image.
        name: What messages call it.

    Returns:
        How many frames it has.

    Raises:
        UnreadableImage: Its file is damaged, in a later frame too: nobody can say what it should show.
    """
    try:
        count = int(getattr(image, "n_frames", 1))
        if count > 1:
            image.seek(0)
        image.load()
    except Exception as error:  # what a decoder raises depends on the format
        raise _cut_off(name, error) from error
    return count


def _check_regular(path: Path, name: str) -> None:
    """Refuse what is no file; a pipe would be waited for, a device read for ever."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no file {name}") from None
    except (OSError, ValueError) as error:  # a name too long, no permission, a NUL in it
        raise UnreadableImage(name, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"{name} is a folder: expected one picture file")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage(name, "is a pipe or device: expected a picture file")
    if status.st_size == 0:
        raise UnreadableImage(name, "is an empty file, not a picture")


def _decode(stream: BinaryIO, name: str, max_pixels: int, load: bool) -> Image.Image:
    head = stream.read(64)
    stream.seek(0)
    try:
        with _without_warnings():
            image = Image.open(stream, formats=FORMATS)
            if image.width * image.height > max_pixels:
                millions = image.width * image.height / 1e6
                raise UnreadableImage(
                    name,
                    f"is {image.width}x{image.height} = {millions:.0f} million pixels: at most {max_pixels / 1e6:.0f} "
                    "million are taken, make it smaller first",
                )
            if load:
                image.load()
            return image
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        kind = describe_content(head)
        what = f"is not a picture but {kind}" if kind else "is not a picture that can be read"
        raise UnreadableImage(name, f"{what}: expected PNG, JPEG, WebP, ...") from None
    except Image.DecompressionBombError as error:
        raise UnreadableImage(name, f"is too large: {error}; make it smaller first") from None
    except MemoryError:
        raise UnreadableImage(name, "does not fit into memory") from None
    except Exception as error:  # decoders raise SyntaxError, struct.error, KeyError, zlib.error, RuntimeError, ...
        raise _cut_off(name, error) from error


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Ignore what Pillow warns of: sizes, where our check is stricter, and damage that keeps no image from being read.

    What is ignored holds for all threads, so that the main one alone may change it; who reads in others ignores the
    module PIL for as long.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _cut_off(name: str, error: Exception) -> UnreadableImage:
    why = str(error) or type(error).__name__
    return UnreadableImage(name, f"cannot be read as a picture, it may be cut off: {why}")
