"""What readers need to index and read large copies of the datasets, each measured in a process of its own.

By hand, a line a layout:

    python -m tests.datasets.readers.large.measure --records 1000000 --folder /somewhere/large [LAYOUT ...]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from .layouts import LAYOUTS, Layout

_INDEX = """
import json, re, sys, time
from instructdiffusion.datasets.readers import open_reader

def status(field):
    return int(re.search(field + r":\\s+(\\d+) kB", open("/proc/self/status").read()).group(1))

name, root, split, task, cache, step = sys.argv[1:]
empty, start = status("RssAnon"), time.perf_counter()
reader = open_reader(name, root, split, task or None, cache=cache)
seconds, peak = time.perf_counter() - start, status("VmHWM")
assert all(reader.rows[i]["id"] for i in range(0, len(reader), int(step)))
found = {"records": len(reader), "problems": len(reader.problems), "fresh": reader.fresh, "seconds": seconds}
found |= {"peak": peak, "empty": empty, "anonymous": status("RssAnon"), "folder": str(reader._index.folder)}
found |= {"first": [str(p) for p in reader.problems[:3]]}
"""
_REPORT = "print(json.dumps(found))"
# A worker waits for the others, so that all have the index open when each looks at what it holds.
_SHARE = """
print("ready", flush=True)
sys.stdin.readline()
for place in ("index", "own"):
    found[place] = dict.fromkeys(("Rss", "Pss"), 0)
inside = False
for line in open("/proc/self/smaps"):
    key, _, value = line.partition(":")
    if "-" in line.split()[0]:
        inside = found["folder"] in line
    elif key in ("Rss", "Pss"):
        found["index" if inside else "own"][key] += int(value.split()[0])
print(json.dumps(found), flush=True)
sys.stdin.readline()
"""


def _command(layout: Layout, code: str, root: Path, cache: Path, step: int) -> list[str]:
    arguments = [layout.dataset, str(root), layout.split, layout.task or "", str(cache), str(step)]
    return [sys.executable, "-c", _INDEX + code, *arguments]


def opened(layout: Layout, root: Path, cache: Path, step: int = 997) -> dict[str, Any]:
    """What a process of its own needs to open a copy: its peak (kB), seconds, records, problems.

    The peak is that of making the index, or of finding that it still holds; rows are read after that, one in `step`.
    """
    done = subprocess.run(_command(layout, _REPORT, root, cache, step), capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def needed(layout: Layout, folder: Path, count: int, records: int) -> float:
    """kB at the peak of making the index of `records`, worked out from those of `count` and of twice as many.

    Where that is `records` divided by a power of two, tables that double once full are as full as then.
    """
    peaks = []
    for number in (count, 2 * count):
        root, cache = folder / f"{number}", folder / f"{number}-cache"
        layout.write(root, number)
        made = opened(layout, root, cache)
        if made["problems"] or abs(made["records"] - number) > 4:
            raise RuntimeError(f"{made['records']} records of {number}; {made['first']}")
        peaks.append(made["peak"])
        shutil.rmtree(root)
    return peaks[1] + (peaks[1] - peaks[0]) * (records / count - 2)


def shared(layout: Layout, root: Path, cache: Path, workers: int = 4, step: int = 1) -> list[dict[str, Any]]:
    """What each of some processes holds that all read rows of one index: Rss and Pss (kB) of the index and else."""
    command = _command(layout, _SHARE, root, cache, step)
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(workers)
    ]
    try:
        found = []
        for say in ("ready", "report", "end"):
            for process in running:
                if say == "ready":
                    assert process.stdout.readline() == "ready\n"  # type: ignore[union-attr]
                else:
                    process.stdin.write("\n")  # type: ignore[union-attr]
                    process.stdin.flush()  # type: ignore[union-attr]
                if say == "report":
                    found.append(json.loads(process.stdout.readline()))  # type: ignore[union-attr]
        return found
    finally:
        for process in running:
            process.communicate(timeout=60)


def main() -> None:
    """Write, index, open again and share one layout after the other; a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layouts", nargs="*", choices=[*LAYOUTS, []], metavar="LAYOUT")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument(
        "--folder", type=Path, required=True, help="where copies are written, and deleted again"
    )
    given = parser.parse_args()
    print(
        "layout | records | peak MiB | seconds | opened again MiB | index MiB | Pss in 4 workers MiB | written s"
    )
    for name in given.layouts or LAYOUTS:
        layout, root, cache = LAYOUTS[name], given.folder / "data", given.folder / "cache"
        try:
            start = time.perf_counter()
            layout.write(root, given.records)
            written = time.perf_counter() - start
            made = opened(layout, root, cache)
            again = opened(layout, root, cache)
            parts = shared(layout, root, cache, step=17)
            index = parts[0]["index"]["Rss"]
            cells = [
                name,
                made["records"],
                made["peak"] >> 10,
                round(made["seconds"], 1),
                again["peak"] >> 10,
            ]
            cells += [
                index >> 10,
                sum(p["index"]["Pss"] for p in parts) / len(parts) // 1024,
                round(written, 1),
            ]
            print(
                " | ".join(map(str, cells)),
                *made["first"][:1],
                "" if not again["fresh"] else "STALE",
                flush=True,
            )
        finally:
            shutil.rmtree(given.folder, ignore_errors=True)


if __name__ == "__main__":
    main()
