"""What a file is, from its first bytes, where it is not what its name says."""

from __future__ import annotations

_KINDS = {  # how files begin
    b"%!PS": "PostScript", b"\xc5\xd0\xd3\xc6": "PostScript", b"%PDF": "a PDF document", b"DDS ": "a DDS texture",
    b"8BPS": "a Photoshop document", b"BLP": "a BLP texture", b"<svg": "an SVG drawing", b"<?xml": "an XML file",
    b"<!DOCTYPE html": "an HTML page", b"<html": "an HTML page", b"PK\x03\x04": "a zip archive",
    b"version https://git-lfs": "a Git LFS pointer", b"\xff\x0a": "JPEG XL", b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"GGUF": "a GGUF file", b"\x89PNG": "a PNG picture", b"\xff\xd8\xff": "a JPEG picture", b"Rar!": "a RAR archive",
    b"7z\xbc\xaf": "a 7-Zip archive", b"\x1f\x8b": "a gzip file", b'{"error': "a message of a server",
}  # fmt: skip


def describe_content(head: bytes) -> str:
    """Say what a file is from its first 64 bytes; "" for what is not known."""
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")
    for magic, kind in _KINDS.items():
        if head.startswith(magic) or start[: len(magic)].lower() == magic.lower():
            return kind
    if head[4:8] == b"ftyp":
        return "HEIF (HEIC), which is not read" if head[8:11] in (b"hei", b"hev", b"mif") else "a video"
    return ""
