"""Modules under the names they had before: the same objects, with a warning."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import instructdiffusion
from instructdiffusion.moved import MOVED, new_name

PACKAGE = Path(instructdiffusion.__file__).parent


@pytest.mark.parametrize("before", MOVED)
def test_the_table_leads_from_no_file_to_a_file(before):
    def there(name):
        path = PACKAGE.joinpath(*name.split("."))
        return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()

    assert not there(before) and there(MOVED[before])


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("draw", "imaging.annotate"),
        ("datasets.scenes", "datasets.synthetic"),
        ("datasets.scenes.words", "datasets.synthetic.words"),
        ("datasets.scenes.records", "datasets.synthetic.scene"),
        ("models.nothing", None),
        ("pipeline", None),
    ],
)
def test_a_name_of_before_has_one_of_today(before, now):
    assert new_name(before) == now


def test_an_old_import_gives_the_very_module_of_today_and_warns():
    code = """if True:
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            from instructdiffusion.draw import overlay
            import instructdiffusion.datasets.scenes.words as before
            from instructdiffusion.datasets.scenes import scene_record
        import instructdiffusion.imaging.annotate as annotate
        import instructdiffusion.datasets.synthetic.words as words
        from instructdiffusion.datasets.synthetic import scene_record as now
        assert overlay is annotate.overlay and before is words and scene_record is now
        ours = [w for w in caught if "instructdiffusion" in str(w.message)]
        assert [w.category for w in ours] == [DeprecationWarning] * 3, ours
        assert {w.filename for w in ours} == {"<string>"}, ours
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_name_that_never_was_is_not_made_up():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("instructdiffusion.nonsense")
    assert importlib.util.find_spec("instructdiffusion.datasets.nonsense") is None
