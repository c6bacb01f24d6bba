"""Many records: a million are to be indexed and read within a gigabyte, so a fifth of them within a fifth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import re, sys
from instructdiffusion.datasets.readers import open_reader
reader = open_reader("coco", sys.argv[1], task="detect", cache=sys.argv[2])
assert all(reader.rows[i]["boxes"] for i in range(0, len(reader), 997))
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)
print(len(reader), len(reader.problems), peak)
"""


@pytest.mark.slow
def test_a_fifth_of_a_million_records_within_a_fifth_of_a_gigabyte(tmp_path):
    if not Path("/proc/self/status").exists():  # getrusage would count what the parent held before exec
        pytest.skip("the peak of a process is read from /proc")
    images, kinds = 100, 2_000
    root = tmp_path / "data"
    (root / "train2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    names = [f"{number:012d}.jpg" for number in range(images)]
    for name in names:
        (root / "train2017" / name).touch()  # an index asks only whether they are there
    heads = [{"id": n, "file_name": name, "height": 480, "width": 640} for n, name in enumerate(names)]
    with open(root / "annotations" / "instances_train2017.json", "w") as stream:
        stream.write(f'{{"images": {json.dumps(heads)}, "annotations": [')
        for number in range(images * kinds):
            thing = {"id": number, "image_id": number % images, "category_id": number // images, "iscrowd": 0}
            thing |= {
                "bbox": [10.5, 20, 100, 50.25],
                "segmentation": [[10, 20, 110, 20, 110, 70]],
                "area": 2500,
            }
            stream.write(", " * bool(number) + json.dumps(thing))
        kinds_listed = [{"id": n, "name": f"kind {n}"} for n in range(kinds)]
        stream.write(f'], "categories": {json.dumps(kinds_listed)}}}')
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(root), str(tmp_path / "cache")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    records, problems, peak = map(int, done.stdout.split())
    assert records == images * kinds and problems == 0
    assert peak < (1 << 20) / 5  # kilobytes
