"""The command `comfy` is comfy-cli's too: what its installation or removal did to ours is said, with the way back."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from instructdiffusion.launcher import main
from instructdiffusion.launcher.ownership import advice

ROOT = Path(__file__).parents[2]
OURS = "from instructdiffusion.launcher import main\n"
THEIRS = "from comfy_cli.__main__ import main\n"


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where pip put `comfy`, in an environment that has this package."""
    info = tmp_path / "site" / "instructdiffusion-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: instructdiffusion\nVersion: 0.1.0\n")
    (info / "RECORD").write_text("../bin/comfy,,\ninstructdiffusion/__init__.py,,\n")
    monkeypatch.syspath_prepend(str(info.parent))
    (tmp_path / "bin").mkdir()
    return tmp_path / "bin" / "comfy"


def test_our_own_command_is_passed_over(script: Path) -> None:
    script.write_text(OURS)
    assert advice() == ""


def test_a_command_that_is_gone_or_another_s_is_told_of_with_the_way_back(script: Path) -> None:
    gone = advice()
    script.write_text(THEIRS)
    theirs = advice()
    assert "is gone" in gone and "comfy-cli's" in theirs
    for remark in (gone, theirs):
        assert f"{sys.executable} -m pip install --force-reinstall --no-deps instructdiffusion" in remark
        assert "python -m instructdiffusion.launcher" in remark
    (script.parents[1] / "site" / "instructdiffusion-0.1.0.dist-info" / "direct_url.json").write_text(
        '{"url": "file:///srv/pack", "dir_info": {}}'
    )
    assert "--no-deps file:///srv/pack brings it back" in advice()


@pytest.mark.parametrize(("name", "said"), [("instructdiffusion-comfy", True), ("__main__.py", True), ("comfy", False)])
def test_it_is_said_where_another_name_was_called(script, monkeypatch, capsys, tmp_path, name, said) -> None:
    monkeypatch.setattr(sys, "argv", [str(tmp_path / name), "--workflow", str(tmp_path / "none.json")])
    assert main() == 2  # there is no such graph
    assert ("is gone" in capsys.readouterr().err) is said


def test_the_registry_s_archive_has_what_the_nodes_need() -> None:
    """Patterns of .comfyignore name what is there, and nothing that is imported or shown."""
    lines = (ROOT / ".comfyignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    assert all((ROOT / pattern.rstrip("/")).exists() for pattern in patterns)
    needed = {"nodes", "web", "workflows", "instructdiffusion", "__init__.py", "pyproject.toml", "LICENSE", "README.md"}
    assert not needed & {pattern.rstrip("/") for pattern in patterns}
