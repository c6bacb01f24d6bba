"""Image files by what they hold: only the formats meant, one clear error for everything else, nothing waited for."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import random
import socket
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from instructdiffusion.datasets.readers.mat_files import load_mat
from instructdiffusion.datasets.readers.problems import Flaw
from instructdiffusion.datasets.readers.stored_images import picture_size, read_picture, read_values
from instructdiffusion.imaging.image_files import (
    EXTENSIONS,
    FORMATS,
    OTHER_EXTENSIONS,
    UnreadableImage,
    open_image,
)
from instructdiffusion.imaging.images import list_pictures, load_picture
from instructdiffusion.utils.file_kinds import describe_content

PARTS = ("instructdiffusion", "nodes", "training")
RGB = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n{} loop\nshowpage\n%%EOF\n"


def image_bytes(kind: str, frames: int = 1, **options) -> bytes:
    stream = io.BytesIO()
    images = [Image.fromarray(np.roll(RGB, 5 * n, 1)) for n in range(frames)]
    more = {"save_all": True, "append_images": images[1:]} if frames > 1 else {}
    images[0].save(stream, kind, **more, **options)
    return stream.getvalue()


OTHERS = {
    "PostScript": POSTSCRIPT,
    "DDS": image_bytes("DDS"),
    "HTML": b"\n<!doctype html><html><body>404</body></html>",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PDF": image_bytes("PDF"),
    "LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n",
    "HEIF": b"\x00\x00\x00\x18ftypheic" + bytes(40),
    "words": b"these are no pixels",
    "PNG magic alone": b"\x89PNG\r\n\x1a\n",
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_refused_by_name_whatever_they_are_called(kind: str, tmp_path: Path, monkeypatch) -> None:
    def refuse(*args, **options):
        raise AssertionError("a decoder started a program")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    path = tmp_path / "photo.png"
    path.write_bytes(OTHERS[kind])
    with pytest.raises(UnreadableImage, match="photo.png"):
        load_picture(path)
    for read in (read_picture, read_values, picture_size):
        with pytest.raises(Flaw):
            read(path)
        with pytest.raises(Flaw):
            read(OTHERS[kind])


@pytest.mark.parametrize("kind, words", [("PostScript", "PostScript"), ("HTML", "an HTML page"), ("LFS", "Git LFS")])
def test_what_a_file_is_instead_is_said(kind: str, words: str) -> None:
    assert words in describe_content(OTHERS[kind][:64])


@pytest.mark.parametrize("kind", FORMATS)
def test_the_formats_meant_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(image_bytes(kind))
    assert load_picture(path).shape == RGB.shape == read_picture(path).shape
    assert picture_size(path) == RGB.shape[:2]


def test_every_ending_of_the_formats_is_listed(tmp_path: Path) -> None:
    Image.init()
    readable = {ending: kind for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    assert {ending for ending, kind in readable.items() if kind in FORMATS} <= EXTENSIONS
    data_or_films = {"BUFR", "GRIB", "HDF5", "IPTC", "MPEG"}  # Pillow knows them and has no pixels of them
    others = {ending for ending, kind in readable.items() if kind not in {*FORMATS, *data_or_films}}
    assert others <= OTHER_EXTENSIONS and not EXTENSIONS & OTHER_EXTENSIONS
    names = ["a.JFIF", "b.jpe", "c.avif", "d.jp2", "e.heic", "f.txt", "g.dib", ".h.png"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_pictures(tmp_path)] == ["a.JFIF", "b.jpe", "c.avif", "d.jp2", "e.heic", "g.dib"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe, dead = tmp_path / "pipe.png", tmp_path / "socket.png"
    os.mkfifo(pipe)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(dead))
        for path in (pipe, dead, Path("/dev/zero")):
            with pytest.raises(UnreadableImage, match="pipe or device"):
                load_picture(path)
            with pytest.raises(Flaw):
                read_picture(path)
            with pytest.raises(Flaw):
                load_mat(path, "LabelMap")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_an_animation_cut_off_anywhere_is_refused_or_read(kind: str, tmp_path: Path) -> None:
    data = image_bytes(kind, frames=3)
    path = tmp_path / "cut.gif"
    for length in range(1, len(data), max(1, len(data) // 150)):
        path.write_bytes(data[:length])
        try:
            assert load_picture(path).shape == RGB.shape
        except UnreadableImage:
            pass
        except UserWarning:  # of its frames
            pass


def test_a_bomb_is_told_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (30000, 30000)).save(path)
    with pytest.raises(UnreadableImage, match="too large|million pixels"), open_image(path, "bomb"):
        pass


@pytest.mark.fuzz(count=10000)
def test_damaged_files_are_refused_or_read(fuzz_cases, tmp_path: Path) -> None:
    whole = {kind: image_bytes(kind) for kind in FORMATS}
    whole |= {f"{kind} animation": image_bytes(kind, frames=2) for kind in ("GIF", "PNG", "WEBP", "TIFF", "AVIF")}
    whole |= {"JPEG progressive": image_bytes("JPEG", progressive=True), "PNG text": with_text(), **OTHERS}
    path, before = tmp_path / "fuzz.png", peak_bytes()
    for number, rng in fuzz_cases:
        data = damaged(whole[rng.choice(sorted(whole))], rng, whole)
        path.write_bytes(data)
        start = time.monotonic()
        faulthandler.dump_traceback_later(60, exit=True)  # a decoder that hangs in C hears no exception
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of frames: the first is still to be read
            try:
                image = load_picture(path)
                assert image.dtype == np.uint8 and image.ndim == 3, number
            except ValueError as error:
                assert path.name in str(error), (number, error)
            for read in (read_values, read_picture, picture_size):
                with contextlib.suppress(Flaw):
                    read(data)
        faulthandler.cancel_dump_traceback_later()
        assert time.monotonic() - start < 20, number
    assert peak_bytes() - before < 2e9


def peak_bytes() -> int:
    """The most memory that this process has had, 0 where the system does not say."""
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_every_file_of_an_image_is_opened_here() -> None:
    root = Path(__file__).parents[2]
    files = [root / "__init__.py", *(p for part in PARTS for p in (root / part).rglob("*.py"))]
    own = [p for p in files if "Image.open(" in p.read_text(encoding="utf-8")]
    assert own == [root / "instructdiffusion/imaging/image_files.py"]


def test_a_size_that_cannot_be_read_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(OTHERS["DDS"])
    with pytest.raises(Flaw, match="photo.jpg: .*DDS"):
        picture_size(path)


def with_text() -> bytes:
    from PIL.PngImagePlugin import PngInfo

    info, exif = PngInfo(), Image.Exif()
    info.add_text("words", "x" * 3000, zip=True)
    exif[0x0112] = 6
    return image_bytes("PNG", pnginfo=info, exif=exif, icc_profile=bytes(200))


def damaged(data: bytes, rng: random.Random, whole: dict[str, bytes]) -> bytes:
    """A file cut off, with bytes changed, swapped, doubled, or the head of another kind."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        place = rng.randrange(len(out)) if rng.random() < 0.5 else rng.randrange(min(len(out), 120))
        kind = rng.random()
        if kind < 0.15:
            del out[place + 1 :]
        elif kind < 0.55:
            out[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif kind < 0.75:
            out[place : place + 4] = rng.choice((b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff", rng.randbytes(4)))
        elif kind < 0.85:
            del out[place : place + rng.randrange(1, 30)]
        elif kind < 0.95:
            out[place:place] = out[place : place + rng.randrange(1, 60)]
        else:
            other = whole[rng.choice(sorted(whole))]
            out[: len(out) // 2] = other[: rng.randrange(len(other))]
        if not out:
            return b"\0"
    return bytes(out)
