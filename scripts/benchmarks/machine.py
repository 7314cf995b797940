"""What a run was made on, and whether the machine was quiet."""

import os
import pathlib
import platform
import time


def describe():
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
    memory = pathlib.Path("/proc/meminfo").read_text().split("MemTotal:", 1)[1].split()[0]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory) / 1024 / 1024, 1),
        "kernel": f"{platform.system()} {platform.release()}",
    }


def busy_share(seconds=0.25):
    """The share of all cores that is busy with others' work, while nothing of ours runs."""
    before, after = cpu_times(), (time.sleep(seconds), cpu_times())[1]
    spent = [new - old for old, new in zip(before, after)]
    idle = spent[3] + spent[4]
    return round(1 - idle / max(1, sum(spent)), 3)


def cpu_times():
    first = pathlib.Path("/proc/stat").read_text().splitlines()[0]
    return [int(field) for field in first.split()[1:9]]
