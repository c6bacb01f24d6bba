"""The step outside the UNet on a CUDA device: python -m tests.benchmarks.step [--out FOLDER]

The fused kernel beside the torch reference, half precision predictions and UNet input: device time, launches,
bytes and throughput, host time. Then `tiny`'s UNet and step, replayed as a CUDA graph beside the eager loop.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from instructdiffusion.sampling import (
    Schedule,
    SeededNoise,
    StepCoefs,
    UNetDenoiser,
    initial_noise,
    instructdiffusion,
    make_plan,
    sample,
)
from instructdiffusion.sampling.acceleration.cuda_graphs import StepGraphs
from instructdiffusion.sampling.kernels import step, why_not_here
from instructdiffusion.utils.files import check_writable, json_bytes, write_files

from .counting import OpCounter, launched, recorded_launches
from .machine import machine

SIDES, BATCHES, BRANCHES = (64, 16), (1, 4, 32), (1, 2, 3)
RUNS, INSIDE = 21, 20  # medians over so many measurements, each of so many calls in a row
ROWS = 20  # of the plan that is replayed


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the tables, write step.md and step.json; 2 without a CUDA device that the kernel runs on."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.step", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for step.md and step.json")
    arguments = parser.parse_args(argv)
    reason = why_not_here("cuda")
    if reason is not None:
        print(f"this measures a CUDA device, and there is none to measure: {reason}", file=sys.stderr)
        return 2
    if arguments.out is not None:
        check_writable(arguments.out)
    command = shlex.join(["python", "-m", "tests.benchmarks.step", *(sys.argv[1:] if argv is None else argv)])
    results: dict[str, Any] = {"command": command, "machine": machine("cuda")}
    results["step"] = [
        measured_step(side, batch, branches) for side in SIDES for batch in BATCHES for branches in BRANCHES
    ]
    results["replayed"] = [replayed(n, d) for n in (1, 8) for d in (torch.float32, torch.float16)]
    text = page(results)
    print(text)
    if arguments.out is not None:
        files = {"step.json": json_bytes(results), "step.md": text.encode()}
        written = write_files({arguments.out / name: data for name, data in files.items()})
        print(f"written: {', '.join(map(str, written))}")
    return 0


def arguments_of(side: int, batch: int, branches: int, device: str = "cuda") -> dict[str, Any]:
    """A DPM-Solver++ 2M step on latents [batch, 4, side, side]: one earlier denoised latent is read, one kept."""
    g = torch.Generator(device).manual_seed(0)

    def random(*leading: int) -> torch.Tensor:
        return torch.randn(*leading, batch, 4, side, side, device=device, generator=g)

    weights = (3.0, -2.5, 0.5)[:branches]
    wide = torch.zeros(branches * batch, 8, side, side, device=device, dtype=torch.float16)
    return {
        "x": random(),
        "predictions": random(branches).half(),
        "coefs": StepCoefs(weights, 0.1, -0.9, 0.5, (0.75, -0.25), 0.0, 0.0, 0.7),
        "history": (random(),),
        "batch": wide[:, :4].unflatten(
            0, (branches, batch)
        ),  # the UNet's own input, first half of its channels
        "finite": torch.ones(batch, dtype=torch.bool, device=device),
    }


def measured_step(side: int, batch: int, branches: int) -> dict[str, Any]:
    """Both backends on one size: microseconds on device and host, launches, MB, GB/s, and how far they differ.

    Launches and waits are counted at one size, which they do not depend on: a profiler takes its time.
    """
    counted = side == SIDES[0] and batch == BATCHES[0]
    given = arguments_of(side, batch, branches)
    found: dict[str, Any] = {"side": side, "batch": batch, "branches": branches}
    ends = []
    for backend in ("reference", "triton"):

        def call(backend: str = backend) -> Any:
            return step(**given, backend=backend)

        ends.append(call().x)
        size = moved(call)
        device = device_microseconds(call)
        launches, waits = (
            launched(lambda n, call=call: [call() for _ in range(n)]) if counted else (None, None)  # type: ignore[misc]
        )
        found[backend] = {
            "device_us": device,
            "host_us": host_microseconds(call),
            "launches": launches,
            "waits": waits,
            "mb": size / 1e6,
            "gb_per_s": size / device / 1e3,
        }
    found["difference"] = float((ends[0] - ends[1]).abs().max())
    return found


def moved(call: Callable[[], Any]) -> int:
    """Bytes that a call reads and writes, a tensor counting once for each operation that has it."""
    counter = OpCounter()
    with recorded_launches(run=True) as recorder, counter:
        call()
    return int(counter.bytes + recorder.bytes)


def device_microseconds(call: Callable[[], Any]) -> float:
    """Median time of a call on the device, by replaying `INSIDE` of them as one CUDA graph between two events.

    Launched one by one, calls of a few microseconds are as slow as the host; in a graph it has no part. The data
    stay in the cache where they fit there, as between a UNet and its step.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(INSIDE):
            call()
    graph.replay()
    times = []
    for _ in range(RUNS):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e3 / INSIDE)
    return float(np.median(times))


def host_microseconds(call: Callable[[], Any]) -> float:
    """Median time until a call returns, the device keeping up."""
    times = []
    for _ in range(RUNS):
        torch.cuda.synchronize()
        start = perf_counter()
        for _ in range(INSIDE):
            call()
        times.append((perf_counter() - start) * 1e6 / INSIDE)
    torch.cuda.synchronize()
    return float(np.median(times))


def replayed(batch: int, dtype: torch.dtype) -> dict[str, Any]:
    """`tiny`, a plan of ROWS rows and two branches, `batch` pictures: milliseconds a row, eager and replayed."""
    from instructdiffusion.models.loading import load_components

    parts = load_components("tiny", dtype=dtype, device="cuda")
    side = parts.resolution // 2 ** (len(parts.vae.config.block_out_channels) - 1)
    g = torch.Generator().manual_seed(0)
    width, length = int(parts.text_encoder.config.hidden_size), 48
    image = torch.randn(batch, 4, side, side, generator=g)
    text, null = (torch.randn(n, length, width, generator=g) for n in (batch, 1))
    denoiser = UNetDenoiser(parts.unet, image, text, null, parts.prediction_type)
    schedule, seeds = Schedule(parts.alphas_cumprod), list(range(batch))
    sigmas = schedule.sigmas("trailing", ROWS)
    plan = make_plan(sigmas, "euler_ancestral", instructdiffusion(1.5, 0.5), schedule)
    x = initial_noise(seeds, (4, side, side)).cuda() * plan.sigma_start
    noise, graphs = SeededNoise(seeds), StepGraphs()
    runs: dict[str, Callable[[], torch.Tensor]] = {
        "reference": lambda: sample(denoiser, x, plan, noise, backend="reference"),
        "fused": lambda: sample(denoiser, x, plan, noise, backend="triton"),
        "graph": lambda: graphs.sample(denoiser, x, plan, noise),
    }
    ends = {name: run() for name, run in runs.items()}
    graphs.clear()
    capture = seconds(lambda: graphs.prepare(denoiser, plan))
    found: dict[str, Any] = {
        "batch": batch,
        "dtype": str(dtype).removeprefix("torch."),
        "capture_ms": capture * 1e3,
    }
    true = ends["reference"]
    for name, run in runs.items():
        run()
        found[name] = {
            "ms_a_row": float(np.median([seconds(run) for _ in range(5)])) * 1e3 / ROWS,
            "difference": float((ends[name] - true).square().mean().sqrt() / true.std()),
        }
    return found


def seconds(run: Callable[[], Any]) -> float:
    """How long it takes, the device's work included."""
    torch.cuda.synchronize()
    start = perf_counter()
    run()
    torch.cuda.synchronize()
    return perf_counter() - start


def page(results: dict[str, Any]) -> str:
    """The tables in Markdown."""
    about = results["machine"]
    lines = [
        "# The step outside the UNet, on a GPU",
        f"Made by\n\n    {results['command']}",
        f"{about['gpu']}, driver {about['driver']}, CUDA {about['cuda']}, torch {about['torch']}, "
        f"triton {about['triton']}; {about['cpu']}",
        "A DPM-Solver++ 2M step on float32 latents, float16 predictions and UNet input. device: calls replayed in one "
        "CUDA graph, so that the host has no part; the data may stay in the cache, so GB/s can be above the memory's. "
        "host: until an eager call returns. MB: a tensor counts once for each operation that has it.",
    ]
    head = (
        "latents",
        "branches",
        "backend",
        "device us",
        "host us",
        "launches",
        "waits",
        "MB",
        "GB/s",
        "times as fast",
    )
    table = [head, ("---", *("---:",) * (len(head) - 1))]
    for row in results["step"]:
        for backend in ("reference", "triton"):
            one = row[backend]
            speed = row["reference"]["device_us"] / one["device_us"]
            counts = ("-" if one[k] is None else f"{one[k]:g}" for k in ("launches", "waits"))
            table.append(
                (
                    f"{row['batch']} x 4 x {row['side']} x {row['side']}",
                    str(row["branches"]),
                    backend,
                    f"{one['device_us']:.2f}",
                    f"{one['host_us']:.1f}",
                    *counts,
                    f"{one['mb']:.2f}",
                    f"{one['gb_per_s']:.0f}",
                    f"{speed:.1f}",
                )  # fmt: skip
            )
    lines.append(_markdown(table))
    worst = max(row["difference"] for row in results["step"])
    lines.append(f"The two differ by at most {worst:.1e} in a value of x.")
    lines.append("## tiny: UNet and step in the loop, two branches, Euler ancestral")
    table = [("pictures", "precision", "how", "ms a row", "times as fast", "RMS difference", "capture ms")]
    table.append(("---", *("---:",) * 6))
    for run in results["replayed"]:
        base = run["reference"]["ms_a_row"]
        for name in ("reference", "fused", "graph"):
            one = run[name]
            capture = f"{run['capture_ms']:.0f}" if name == "graph" else "-"
            speed = f"{base / one['ms_a_row']:.1f}"
            difference = f"{one['difference']:.0e}"
            table.append(
                (str(run["batch"]), run["dtype"], name, f"{one['ms_a_row']:.3f}", speed, difference, capture)
            )
    lines.append(_markdown(table))
    return "\n\n".join(lines) + "\n"


def _markdown(table: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in table)


if __name__ == "__main__":
    raise SystemExit(main())
