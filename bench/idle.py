"""What the local cloud costs at rest, with every process that it started."""

from __future__ import annotations

import time

import psutil

from bench.bed import Bed
from bench.rows import Row, sized

_SETTLE_S = 20
_WATCH_S = 30


def at_rest(bed: Bed) -> list[Row]:
    """Resident memory and CPU of the server, its variants and its functions: the stack is up, no traffic comes."""
    watched = sized(_WATCH_S)
    time.sleep(sized(_SETTLE_S))
    processes = family(bed.pid)
    before = {item.pid: cpu_of(item) for item in processes}
    time.sleep(watched)
    later = family(bed.pid)
    used = sum(cpu_of(item) - before.get(item.pid, 0.0) for item in later)
    rss = sum(item.memory_info().rss for item in later) / 1e6
    peer = f"{len(later)} processes: " + ", ".join(f"{item.memory_info().rss / 1e6:.0f}" for item in later)
    return [
        Row("idle_rss_mb", round(rss, 1), "MB", "<= 400", peer),
        Row("idle_cpu_pct", round(100 * used / watched, 2), "% of a core", "<= 2", f"over {watched} s"),
    ]


def family(pid: int) -> list[psutil.Process]:
    """A process, and all that it started."""
    server = psutil.Process(pid)
    return [server, *server.children(recursive=True)]


def cpu_of(item: psutil.Process) -> float:
    """The CPU seconds that a process has used."""
    times = item.cpu_times()
    return times.user + times.system
