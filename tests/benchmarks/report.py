"""The benchmark's table and its targets, made from the results alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .rounds import TURN

HEADS = (
    "",
    "evals",
    "ms, median",
    "quartiles",
    "speed",
    "same answer",
    "outside",
    "ops",
    "MB",
    "syncs",
    "cIoU",
    "PSNR",
)


REPEATS = 3  # runs of a contender from which on a target in time is judged


def targets(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Every target with its value, its limit and whether it is reached, None with too few repeats to say.

    Those that nothing was measured for are left out.
    """
    rows: list[dict[str, Any]] = results["rows"]
    authors = rows[0]
    found: list[dict[str, Any]] = []

    def add(name: str, value: float | None, limit: float, at_most: bool = False, timed: bool = True) -> None:
        if value is not None:
            reached = None
            if not timed or results["repeats"] >= REPEATS:
                reached = bool(value <= limit if at_most else value >= limit)
            found.append(
                {"name": name, "value": value, "limit": limit, "at_most": at_most, "reached": reached}
            )

    for scales, compiled in dict.fromkeys((_pair(r["scales"]), r["compiled"]) for r in rows):
        # Like with like: the same guidance, and both compiled or neither.
        alike = [r for r in rows if not r["lossy"] and (_pair(r["scales"]), r["compiled"]) == (scales, compiled)]
        pipeline = next((r for r in alike if r["group"] == "diffusers"), None)
        exact = [r for r in alike if r["group"] == "ours" and r["same"]]
        if pipeline is None or not exact:
            continue
        best = min(exact, key=lambda r: r["median"])
        more = "" if scales is None else f", guidance {scales[0]:g} and {scales[1]:g}"
        more += ", both compiled" if compiled else ", neither compiled"
        speed = pipeline["median"] / best["median"]
        add(f"same steps, same answer{more}: times as fast as diffusers", speed, 1.3)
        add(f"time outside UNet and autoencoder, same steps{more}", best["outside_share"], 0.05, at_most=True)
    base = (authors.get("quality") or {}).get("cIoU")
    together = next((r for r in rows if r["group"] == "authors" and r["pictures"] > 1), None)
    for one in (r for r in rows if r["evaluations"] == 1):
        name = one["name"].removeprefix("ours: ").removeprefix("+ ")
        add(f"time outside UNet and autoencoder, {name}", one["outside_share"], 0.05, at_most=True)
        if one.get("quality") and base:
            share = one["quality"]["cIoU"] / base
            steps, speed = authors["steps"], authors["median"] / one["median"]
            add(f"segment, {name}: share of the {steps}-step cIoU", share, 0.99, timed=False)
            add(f"segment, {name}: times as fast as the authors' loop", speed, 100)
            if together is not None and one["pictures"] > 1:
                speed = together["median"] / one["median"]
                alike = f"the authors' loop, {together['pictures']} pictures at once too"
                add(f"segment, {name}: times as fast as {alike}", speed, 100)
    fused = results.get("fused_step")
    if fused is not None:
        what, counts = "fused Euler step, 64 x 64 x 4, half precision", {"at_most": True, "timed": False}
        add(f"{what}: operations", fused["ops"], 1, **counts)
        add("fused Euler step: MB moved", fused["bytes"] / 1e6, 0.35, **counts)
        add("fused Euler step: syncs", fused["syncs"], 0, **counts)
    return found


def page(runs: Sequence[dict[str, Any]], command: str) -> str:
    """All runs as a page in Markdown: the command, the chart, a table a model, the targets, the machine."""
    parts = ["# The sampler beside the authors' loop and diffusers", f"Made by\n\n    {command}"]
    parts.append("![a bar a contender: milliseconds a picture](benchmark.png)")
    for results in runs:
        rows = results["rows"]
        heads = _heads(results)
        lines = [
            heads,
            ("---", *("---:",) * (len(heads) - 1)),
            *(_line(row, rows[0]["median"], len(heads) > len(HEADS)) for row in rows),
        ]
        parts.append(f"## {results['model']}, {results['picture'][0]} px")
        parts.append("\n".join("| " + " | ".join(line) + " |" for line in lines))
        parts.append("\n".join(f"- {_target(t, results['repeats']).strip()}" for t in results["targets"]))
        parts.append("\n".join(_notes(results)))
    return "\n\n".join(parts) + "\n"


def table(results: dict[str, Any]) -> str:
    """The rows in aligned columns, the targets, and what the machine was."""
    rows = results["rows"]
    heads = _heads(results)
    lines = [heads, *(_line(row, rows[0]["median"], len(heads) > len(HEADS)) for row in rows)]
    widths = [max(len(line[c]) for line in lines) for c in range(len(heads))]
    text = [_aligned(line, widths) for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    verdicts = [_target(t, results["repeats"]) for t in results["targets"]]
    return "\n".join([*text, "", "targets", *verdicts, "", *_notes(results)])


def _heads(results: dict[str, Any]) -> tuple[str, ...]:
    """The columns; with what the profiler counted where it did."""
    seen = any((row["step"] or {}).get("launches") is not None for row in results["rows"])
    return (*HEADS, "launches", "waits") if seen else HEADS


def _notes(results: dict[str, Any]) -> list[str]:
    """What the columns mean, what the machine was, and whether the timings are worth anything."""
    about = results["machine"]
    text = [
        "speed: against the first row. same answer: as the authors' loop (or the pipeline with that solver), and how "
        "far off in deviations. outside: share of the time in neither UNet nor autoencoder.",
        f"A contender of less than {TURN:g} s is drawn over and over in its turn; the mean counts, without the first.",
        "ops, MB, syncs: of a step outside the UNet (torch operations but views and allocations).",
    ]
    text.append(_scales(results))
    if results["scenes"]:
        text.append(
            f"cIoU of segment and PSNR of denoise on {results['scenes']} held-out scenes each; a row without them "
            "gives the answer of one above, or has another guidance."
        )
    if any("compiled" in row["name"] for row in results["rows"]):
        text.append(
            "compiled: UNet and autoencoder, of diffusers' rows those that say so, of ours all from the first on that "
            "says so but for the row that says not."
        )
    if about["device"] == "cpu":
        text.append(
            "ours looks for NaN after every step on the CPU; on a GPU once a run, so no step waits there."
        )
    if len(_heads(results)) > len(HEADS):
        text.append(
            "launches, waits: of a step outside the UNet, kernels, copies and graphs that the host launched and times "
            "it waited for the device, as torch's profiler saw them. A CUDA graph holds the UNet too: it is one op, "
            "one launch, and its time is the UNet's."
        )
    if about.get("tf32") and "float16" not in results["model"]:
        used = [name for name, on in about["tf32"].items() if on]
        text.append(f"float32 as torch has it by default; TF32 in: {', '.join(used) or 'nothing'}.")
    for name, title in (
        ("fused_step", "Euler"),
        ("fused_multistep", "DPM-Solver++ 2M, which keeps an answer"),
    ):
        fused = results.get(name)
        if fused is not None:
            text.append(
                f"the fused step of {title}, three branches, counted at its launch: {fused['ops']:g} op, "
                f"{fused['bytes'] / 1e6:.2f} MB, {fused['syncs']:g} syncs"
            )
    threads = (
        f"{about['threads']} of {about['cores']} cores, load {results['load'][0]} to {results['load'][1]}"
    )
    versions = f"torch {about['torch']}, diffusers {about['diffusers']}, k-diffusion {about['k-diffusion']}"
    place = f"{about['cpu']}, {about['instructions']}"
    if "gpu" in about:
        place = f"{about['gpu']}, driver {about['driver']}, CUDA {about['cuda']}, triton {about['triton']}; {place}"
    text.append(f"{results['model']}; {place}; {threads}; {versions}; {results['repeats']} repeats")
    if results["load"][0] is not None and max(results["load"]) > about["threads"] + 1:
        text.append("other work ran on this machine meanwhile: do not publish these timings")
    return text


def _pair(scales: Any) -> tuple[float, ...] | None:
    """The scales of a row, as they come from a run or from JSON."""
    return None if scales is None else tuple(scales)


def _scales(results: dict[str, Any]) -> str:
    """Under which guidance the rows are."""
    ours = "the authors' formula with scales {:g} and {:g}".format(*results["guidance"])
    for pair in dict.fromkeys(tuple(r["scales"]) for r in results["rows"] if r["scales"] is not None):
        ours += ", in rows that say so InstructPix2Pix's with {:g} and {:g}, whose branches all count".format(
            *pair
        )
    weightless = results["guidance"][1] == 0.5
    return f"guidance: {ours}." + (" At .5 the third branch has no weight." if weightless else "")


def _line(row: dict[str, Any], base: float, seen: bool = False) -> tuple[str, ...]:
    step, good = row["step"], row.get("quality") or {}
    low, high = (f"{s * 1000:.1f}" for s in row["quartiles"])
    difference = row["difference"]
    same = "-" if difference is None else f"{'yes' if row['same'] else 'no'} ({difference:.0e})"
    counts = ("-", "-", "-")
    if step is not None:
        counts = f"{step['ops']:.0f}", f"{step['bytes'] / 1e6:.2f}", f"{step['syncs']:.0f}"
    profiled: tuple[str, ...] = ()
    if seen:
        values = [(step or {}).get(name) for name in ("launches", "waits")]
        profiled = tuple("-" if v is None else f"{v:.0f}" for v in values)
    return (
        row["name"],
        f"{row['evaluations']:g}",
        f"{row['median'] * 1000:.1f}",
        f"{low} to {high}",
        f"{base / row['median']:.1f}x",
        same,
        "-" if row["outside_share"] is None else f"{row['outside_share']:.1%}",
        *counts,
        f"{good['cIoU']:.3f}" if "cIoU" in good else "-",
        f"{good['PSNR']:.2f}" if "PSNR" in good else "-",
        *profiled,
    )


def _aligned(line: tuple[str, ...], widths: list[int]) -> str:
    cells = [t.ljust(w) if c == 0 else t.rjust(w) for c, (t, w) in enumerate(zip(line, widths, strict=True))]
    return "  ".join(cells).rstrip()


def _target(target: dict[str, Any], repeats: int) -> str:
    sign = "<=" if target["at_most"] else ">="
    few = f"{repeats} repeat{'s' * (repeats != 1)}: not judged"
    verdict = {True: "reached", False: "NOT REACHED", None: few}[target["reached"]]
    return f"  {target['name']}: {target['value']:.3g} ({sign} {target['limit']:g}): {verdict}"
