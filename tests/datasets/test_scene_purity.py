"""Scenes are the same in every process: nothing in them hangs on the order of sets or on what ran before."""

from __future__ import annotations

import os
import subprocess
import sys

from instructdiffusion.datasets.synthetic import SCENE_TASKS

# A digest a task of everything that training reads of some examples, at the richest and the plainest level.
CODE = """
import hashlib, json
from instructdiffusion.datasets.synthetic.examples import make_example
from instructdiffusion.datasets.synthetic import SCENE_TASKS

found = {}
for task in SCENE_TASKS:
    digest = hashlib.sha256()
    for seed in range(6):
        example = make_example(task, seed, level=3 * (seed % 2))
        digest.update(example.source.tobytes() + example.target.tobytes())
        digest.update(f"{example.instruction} {example.record.caption} {sorted(example.record.meta)}".encode())
    found[task] = digest.hexdigest()
print(json.dumps(found, sort_keys=True))
"""


def test_processes_with_other_hashes_draw_the_same_scenes():
    started = [
        subprocess.Popen(
            [sys.executable, "-c", CODE],
            env={**os.environ, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "20261126")
    ]
    first, second = (process.communicate(timeout=500)[0] for process in started)
    assert all(process.returncode == 0 for process in started)
    assert first == second and all(task in first for task in SCENE_TASKS)
