"""Many records: a million are to be indexed and read within a gigabyte, and workers are to share them.

What a million need is worked out from two small copies. RECORDS=1000000 in the environment writes, indexes and reads
that many instead, of every layout, which takes hours.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from instructdiffusion.datasets.readers import READERS

from .large.layouts import LAYOUTS
from .large.measure import needed, opened, shared

MILLION, GIGABYTE = 1_000_000, 1 << 20  # kB
COUNT = MILLION // 128
RECORDS = int(os.environ.get("RECORDS", 0))

# Nothing but names of files tells these from others: one of each kind is measured.
ALIKE = {
    **dict.fromkeys(("refcoco+", "refcocog", "refclef"), "refcoco"),
    **dict.fromkeys(("crowdpose", "humanart", "ap10k", "aic-coco"), "coco"),
    **dict.fromkeys(("clwd", "sidd-cut"), "gopro-flat"),
    "pascal-context-59-list": "voc",
    "coco-detect": "coco-segment",
    "phrasecut-sizes": "phrasecut",
    "magicbrush-parquet": "instructpix2pix-parquet",
}
SMALL = [name for name, layout in LAYOUTS.items() if name not in ALIKE and layout.most is None]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not Path("/proc/self/smaps").exists(),  # getrusage would count what the parent held before exec
        reason="what a process holds is read from /proc",
    ),
]


@pytest.fixture
def folder():
    """A folder that is gone after the test, in memory where there is such a place: most of the time is for files."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if shm.is_dir() and not RECORDS else None) as found:
        yield Path(found)


def test_every_reader_is_measured():
    assert {LAYOUTS[ALIKE.get(name, name)].dataset for name in LAYOUTS} <= set(READERS)
    assert {layout.dataset for layout in LAYOUTS.values()} == set(READERS)
    assert {*SMALL, *ALIKE} | {n for n, layout in LAYOUTS.items() if layout.most} == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS if RECORDS else SMALL)
def test_a_million_records_are_indexed_and_read_within_a_gigabyte(name, folder):
    if name.endswith("-parquet"):
        pytest.importorskip("pyarrow")
    layout, root, cache = LAYOUTS[name], folder / "data", folder / "cache"
    if not RECORDS:
        assert needed(layout, folder, COUNT, MILLION) < GIGABYTE
        return
    layout.write(root, RECORDS)
    made, again = opened(layout, root, cache), opened(layout, root, cache)
    assert made["records"] >= min(RECORDS, layout.most or RECORDS) - 4 and not made["problems"]
    assert made["peak"] < GIGABYTE and again["peak"] < GIGABYTE and not again["fresh"]


def test_workers_share_an_index(folder):
    layout, root, cache = LAYOUTS["coco"], folder / "data", folder / "cache"
    layout.write(root, 2 * COUNT)
    assert opened(layout, root, cache)["fresh"]
    few = shared(layout, root, cache, workers=4)
    assert not any(worker["fresh"] for worker in few)
    held = few[0]["index"]["Rss"]
    assert held > 4 << 10  # kB: all of it is mapped in each of them,
    for worker in few:
        assert worker["index"]["Pss"] < 0.3 * held  # and in memory once,
        assert worker["anonymous"] - worker["empty"] < held / 4  # of which none holds a copy
