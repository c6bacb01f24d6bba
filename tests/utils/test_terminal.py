"""What is printed is printable, whatever the terminal; what is opened as text says in which encoding."""

from __future__ import annotations

import ast
from pathlib import Path

from instructdiffusion.utils.terminal import printable

ROOT = Path(__file__).parents[2]


def test_control_characters_are_spelt_out():
    assert printable("a\x1b[31mb\x07\r\u202e\udcff\n\tü") == "a\\x1b[31mb\\x07\\r\\u202e\ufffd\n\tü"


def test_every_text_file_is_opened_with_its_encoding_named():
    faults = []
    parts = ("instructdiffusion", "nodes", "training")
    for path in (ROOT / "__init__.py", *(p for part in parts for p in (ROOT / part).rglob("*.py"))):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and opens_text(call) and "encoding" not in {k.arg for k in call.keywords}:
                faults.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert faults == []


def opens_text(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("read_text", "write_text"):
        return name == "write_text" or not call.args  # a distribution's read_text takes a name, and is UTF-8
    plain = isinstance(call.func, ast.Name)
    modes = [a.value for a in call.args[int(plain) :] if isinstance(a, ast.Constant) and isinstance(a.value, str)][:1]
    return name == "open" and (set("".join(modes)) <= set("rwax+t") if modes else plain)
