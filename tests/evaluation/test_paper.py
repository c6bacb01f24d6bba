"""The paper's tables."""

from __future__ import annotations

import pytest

from instructdiffusion.evaluation.paper import OURS, TABLES, Table, markdown


def test_tables_two_to_six_are_whole():
    assert list(TABLES) == [2, 3, 4, 5, 6]
    assert TABLES[2].cell("HumanArt") == "51.4" and TABLES[2].cell("AP-10K", "Painter") == "15.3"
    assert TABLES[3].cell("gRefCOCO") == "67.36" and TABLES[3].cell("RefClef C") == "40.34"
    assert TABLES[4].cell("VOC", "SAN (specialist)") == "46.14" and TABLES[4].cell("COCO-Stuff") == "53.17"
    assert TABLES[5].cell("SIDD") == "34.26 (36.56)"
    assert TABLES[6].cell("COCO-Stuff", "task names only") == "41.28"
    assert all(TABLES[6].cell(c) == TABLES[n].cell(c) for n in (2, 4) for c in TABLES[n].columns)


def test_own_cells_stand_under_the_papers():
    lines = TABLES[3].lines("mine", {"RefCOCO A": "70.00"}, ["RefCOCO val", "RefCOCO A"])
    assert lines[0] == ["", "RefCOCO val", "RefCOCO A"]
    assert lines[-2:] == [[OURS, "61.74", "65.20"], ["mine", "-", "70.00"]]
    assert "LAVT (specialist)" not in [line[0] for line in TABLES[3].lines("mine", {}, ["gRefCOCO"])]
    assert markdown(lines).splitlines()[1] == "| --- | ---: | ---: |"
    assert markdown([["a|b"], ["c"]]).startswith("| a\\|b |")


def test_a_table_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="1 cells, 2 columns"):
        Table(9, "t", "m", ("a", "b"), {"x": ("1",)})
