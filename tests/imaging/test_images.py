"""Every kind of picture becomes uint8 [h, w, 3]; what is none is refused in words."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from instructdiffusion.imaging.images import list_pictures, load_picture, load_pictures

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def png_header(width, height):
    """A PNG that says it is that large and holds nothing."""
    chunk = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    body = (13).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    idat = zlib.compress(b"\0" * 100)
    data = b"IDAT" + idat
    body += len(idat).to_bytes(4, "big") + data + zlib.crc32(data).to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["path", "str", "pil", "numpy"])
def test_the_same_picture_however_it_comes(kind, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    given = {"path": path, "str": str(path), "pil": Image.fromarray(RGB), "numpy": RGB}[kind]
    got = load_picture(given)
    assert got.dtype == np.uint8 and np.array_equal(got, RGB)


@pytest.mark.parametrize(
    "tensor",
    [
        torch.from_numpy(RGB),
        torch.from_numpy(RGB).permute(2, 0, 1),
        torch.from_numpy(RGB)[None],
        torch.from_numpy(RGB).float() / 255,
        (torch.from_numpy(RGB).float() / 255).permute(2, 0, 1).requires_grad_(),
        (torch.from_numpy(RGB).double() / 255).permute(2, 0, 1)[None],
    ],
    ids=["hwc", "chw", "1hwc", "float hwc", "float chw", "double 1chw"],
)
def test_tensors(tensor):
    pictures, _ = load_pictures(tensor)
    assert len(pictures) == 1 and np.array_equal(pictures[0], RGB)


def test_half_precision_tensor_is_near():
    got = load_picture((torch.from_numpy(RGB).float() / 255).to(torch.bfloat16))
    assert np.abs(got.astype(int) - RGB).max() <= 1


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (RGB[..., 0], np.repeat(RGB[..., :1], 3, 2)),
        (RGB[..., :1], np.repeat(RGB[..., :1], 3, 2)),
        (RGB.astype(np.float64) / 255, RGB),
        (RGB.astype(np.uint16) * 257, RGB),
        (RGB.astype(np.int64), RGB),
        (RGB > 127, np.where(RGB > 127, 255, 0)),
        (np.dstack([RGB, np.full(RGB.shape[:2], 255, np.uint8)]), RGB),
        (np.dstack([RGB, np.zeros(RGB.shape[:2], np.uint8)]), np.full_like(RGB, 255)),
    ],
    ids=["gray", "gray axis", "float", "uint16", "int64", "bool", "opaque", "transparent"],
)
def test_arrays(array, expected):
    assert np.array_equal(load_picture(array), expected)


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [
        ("1", "png"),
        ("L", "png"),
        ("P", "png"),
        ("LA", "png"),
        ("RGBA", "webp"),
        ("CMYK", "jpg"),
        ("YCbCr", "jpg"),
    ],
)
def test_file_modes(mode, suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    flat = np.full((16, 24, 3), (200, 40, 90), np.uint8)
    image = Image.fromarray(flat).convert(mode)
    image.save(path, lossless=True) if suffix == "webp" else image.save(path)
    expected = np.asarray(image.convert("RGB"))
    got = load_picture(path)
    assert got.shape == flat.shape
    assert np.abs(got.astype(int) - expected).max() <= 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_over_white(mode, tmp_path):
    path = tmp_path / "a.png"
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 8, 16))
    if mode == "P":
        paletted = Image.fromarray(np.repeat([[0] * 8 + [1] * 8], 16, 0).astype(np.uint8), "P")
        paletted.putpalette([0, 0, 0, 50, 50, 50])
        paletted.save(path, transparency=1)
    else:
        image.convert(mode).save(path)
    got = load_picture(path)
    assert (got[:, :8] == 0).all() and (got[:, 8:] == 255).all()


def test_sixteen_bits(tmp_path):
    ramp = np.linspace(0, 65535, 16 * 16).reshape(16, 16).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    Image.fromarray(ramp).save(tmp_path / "a.tiff")
    for name in ("a.png", "a.tiff"):
        got = load_picture(tmp_path / name)[..., 0]
        assert np.array_equal(got, ((ramp.astype(int) + 128) // 257))


def test_float_tiff(tmp_path):
    Image.fromarray(np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16)).save(tmp_path / "a.tiff")
    got = load_picture(tmp_path / "a.tiff")[..., 0]
    assert np.array_equal(got.ravel(), np.arange(256))


@pytest.mark.parametrize("orientation", [3, 6, 8, 2])
def test_exif_rotation_is_carried_out(orientation, tmp_path):
    image = Image.fromarray(RGB)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    expected = {2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 6: np.rot90(RGB, -1), 8: np.rot90(RGB)}[orientation]
    assert np.array_equal(load_picture(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("suffix", ["gif", "png", "webp", "tiff"])
def test_an_animation_gives_its_first_frame_and_a_warning(suffix, tmp_path):
    frames = [Image.new("RGB", (16, 16), color) for color in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    frames[0].save(tmp_path / f"a.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.warns(UserWarning, match="3 frames"):
        got = load_picture(tmp_path / f"a.{suffix}")
    assert got[8, 8, 0] > 240 and got[8, 8, 1:].max() < 16


def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path):
    path = tmp_path / "bomb.png"
    for side in (20_000, 9_500):  # past Pillow's own error, and between its warning and this package's limit
        path.write_bytes(png_header(side, side))
        with pytest.raises(ValueError, match="make it smaller"):
            load_picture(path)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 7)])
def test_tiny_pictures_are_refused(size, tmp_path):
    Image.new("RGB", size).save(tmp_path / "a.png")
    for given in (tmp_path / "a.png", Image.new("RGB", size), np.zeros((size[1], size[0], 3), np.uint8)):
        with pytest.raises(ValueError, match="at least 8 on each side"):
            load_picture(given)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty file"), (b"hello, this is text", "not a picture"), (b"%PDF-1.4 nothing", "not a picture")],
)
def test_files_that_are_no_pictures(content, message, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_picture(path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif"])
def test_a_truncated_file_is_refused(suffix, tmp_path):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="cannot be read|not a picture"):
        load_picture(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        load_picture(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        load_picture(tmp_path)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (None, TypeError, "expected a picture"),
        (7, TypeError, "expected a picture"),
        (np.zeros((20, 20, 5), np.uint8), ValueError, r"\[20, 20, 5\]"),
        (np.zeros((0, 20, 3), np.uint8), ValueError, "shape"),
        (np.full((20, 20, 3), np.nan), ValueError, "not finite"),
        (np.full((20, 20, 3), 200.0), ValueError, "divide by 255"),
        (np.full((20, 20, 3), -1), ValueError, r"expected 0\.\.255"),
        (np.full((20, 20, 3), "a"), TypeError, "holds"),
        (np.zeros((20, 20, 3), complex), TypeError, "holds"),
    ],
)
def test_bad_values(bad, error, message):
    with pytest.raises(error, match=message):
        load_picture(bad)


def test_lists_and_batches():
    pictures, single = load_pictures([RGB, Image.fromarray(RGB[:10])])
    assert [p.shape for p in pictures] == [(20, 30, 3), (10, 30, 3)] and not single
    pictures, single = load_pictures(torch.zeros(4, 3, 16, 16))
    assert len(pictures) == 4 and not single
    assert load_pictures(RGB)[1] and load_pictures([]) == ([], False)


def test_folders_are_listed_in_order(tmp_path):
    for name in ("b.PNG", "a.jpg", "notes.txt", ".hidden.png"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_pictures(tmp_path)] == ["a.jpg", "b.PNG"]


def test_the_picture_is_a_copy():
    mine = RGB.copy()
    got = load_picture(mine)
    mine[:] = 0
    assert np.array_equal(got, RGB)
