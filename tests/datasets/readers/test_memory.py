"""Many records: a million are to be indexed and read within a gigabyte, so a fifth of them within a fifth."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

MEASURE = """
import re, sys
from instructdiffusion.datasets.readers import open_reader
reader = open_reader(sys.argv[1], sys.argv[2], task=sys.argv[3], cache=sys.argv[4])
assert all(reader.rows[i]["image"] for i in range(0, len(reader), 997))
peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read()).group(1)
print(len(reader), len(reader.problems), peak)
"""


IMAGES, KINDS = 100, 2_000


def write_boxes(root: Path) -> None:
    """COCO's instances: a box of each of 2,000 kinds in each of 100 pictures."""
    (root / "train2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    names = [f"{number:012d}.jpg" for number in range(IMAGES)]
    for name in names:
        (root / "train2017" / name).touch()  # an index asks only whether they are there
    heads = [{"id": n, "file_name": name, "height": 480, "width": 640} for n, name in enumerate(names)]
    with open(root / "annotations" / "instances_train2017.json", "w") as stream:
        stream.write(f'{{"images": {json.dumps(heads)}, "annotations": [')
        for number in range(IMAGES * KINDS):
            thing = {"id": number, "image_id": number % IMAGES, "category_id": number // IMAGES, "iscrowd": 0}
            thing |= {
                "bbox": [10.5, 20, 100, 50.25],
                "segmentation": [[10, 20, 110, 20, 110, 70]],
                "area": 2500,
            }
            stream.write(", " * bool(number) + json.dumps(thing))
        kinds_listed = [{"id": n, "name": f"kind {n}"} for n in range(KINDS)]
        stream.write(f'], "categories": {json.dumps(kinds_listed)}}}')


def write_shards(root: Path) -> None:
    """InstructPix2Pix in 20 zips: 222,400 pairs, of which the first nine tenths are for training."""
    root.mkdir(parents=True)
    seeds = []
    for shard in range(20):
        with zipfile.ZipFile(root / f"shard-{shard:02d}.zip", "w") as archive:
            for prompt in range(139):
                name = f"{shard * 139 + prompt:07d}"
                seeds.append([name, [str(1_000_000 + n) for n in range(80)]])
                for seed in seeds[-1][1]:
                    archive.writestr(f"{name}/{seed}_0.jpg", b"")
                    archive.writestr(f"{name}/{seed}_1.jpg", b"")
                archive.writestr(f"{name}/prompt.json", b"{}")
    (root / "seeds.json").write_text(json.dumps(seeds))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "task", "write"), [("coco", "detect", write_boxes), ("instructpix2pix", "edit", write_shards)]
)
def test_a_fifth_of_a_million_records_within_a_fifth_of_a_gigabyte(name, task, write, tmp_path):
    if not Path("/proc/self/status").exists():  # getrusage would count what the parent held before exec
        pytest.skip("the peak of a process is read from /proc")
    root = tmp_path / "data"
    write(root)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, name, str(root), task, str(tmp_path / "cache")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    records, problems, peak = map(int, done.stdout.split())
    assert records >= IMAGES * KINDS and problems == 0
    assert peak < (1 << 20) / 5  # kilobytes
