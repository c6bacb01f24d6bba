"""The machine a benchmark ran on, as plain data."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "diffusers", "transformers", "k-diffusion", "triton", "numpy")


def machine(device: str) -> dict[str, Any]:
    """CPU, cores, threads, load, GPU, and the versions of what computes."""
    import torch

    allowed = getattr(os, "sched_getaffinity", None)
    found: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cores_allowed": len(allowed(0)) if allowed else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "memory_gib": _memory("MemTotal"),
        "load": load(),
        "device": device,
        **{name: _version(name) for name in PACKAGES},
    }
    if device.startswith("cuda"):
        found["gpu"] = torch.cuda.get_device_name(device)
        found["capability"] = ".".join(map(str, torch.cuda.get_device_capability(device)))
        found["gpu_memory_gib"] = round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1)
        found["cuda"] = torch.version.cuda
        found["cudnn"] = torch.backends.cudnn.version()
        found["driver"] = _driver()
        found["tf32"] = {
            "matmul": torch.backends.cuda.matmul.allow_tf32,
            "convolution": torch.backends.cudnn.allow_tf32,
        }
    return found


def load() -> float | None:
    """Processes that want to run, the mean over a minute: well above `threads` means the timings are not to be used."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def free_gib() -> float | None:
    """Memory that can be had, GiB; None where the system does not say."""
    return _memory("MemAvailable")


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _driver() -> str | None:
    """The NVIDIA driver's version; None where nothing says it."""
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=20, check=True).stdout.split()
        return said[0] if said else None
    except (OSError, subprocess.SubprocessError):
        pass
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", Path("/proc/driver/nvidia/version").read_text())
        return found and found.group()
    except OSError:
        return None


def _memory(field: str) -> float | None:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith(field + ":"):
                return round(int(line.split()[1]) / 2**20, 1)
    except (OSError, ValueError, IndexError):
        pass
    return None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
