"""Metrics of the controller itself for Prometheus.

Source: Prometheus, "Exposition formats", text format 0.0.4.
"""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from modelstack.monitoring.measurements import Datum
from modelstack.monitoring.published import PROBE_LATENCY, PROBE_SUCCESS
from modelstack.platforms.kubernetes.metrics import ENDPOINT, NAMESPACE, PROBED, TICKED, exposed, series


@dataclass(frozen=True)
class Measure:
    """A metric."""

    name: str
    kind: Literal["counter", "gauge"]
    help: str


TICKS = Measure("modelstack_controller_ticks_total", "counter", "Looks at an endpoint that came to their end.")
FAILURES = Measure("modelstack_tick_failures_total", "counter", "Work on an endpoint that failed, by its error.")
CALLS = Measure("modelstack_controller_api_calls_total", "counter", "Requests to the API server.")
WAKES = Measure("modelstack_controller_wakes_total", "counter", "Wakes by Alertmanager.")
ANSWERS = Measure("modelstack_controller_alarms_total", "counter", "Alarms that were answered, by what was done.")
EVENTS = Measure("modelstack_events_total", "counter", "Events of rollouts that people were told of.")
CAPTURES = Measure("modelstack_controller_captures_total", "counter", "Posts of captures, by the code of their answer.")
LEADING = Measure("modelstack_controller_leading", "gauge", "1 when this process looks at the endpoints by itself.")
ENDPOINTS = Measure("modelstack_controller_endpoints", "gauge", "Rollouts of the namespace.")
PHASE = Measure("modelstack_rollout_phase", "gauge", "1 for the phase that an endpoint's rollout is in.")
CARRIED = Measure(TICKED, "gauge", "Until when an endpoint's rollout is known to be carried on, epoch seconds.")
ASKED = Measure(PROBED, "gauge", "When an endpoint was last probed, epoch seconds.")
SOUND = Measure(series(PROBE_SUCCESS), "gauge", "1 when the last probe of an endpoint had a sound answer.")
TOOK = Measure(series(PROBE_LATENCY), "gauge", "Milliseconds that the last sound answer to a probe took.")
STORE = Measure("modelstack_store_reachable", "gauge", "1 when the database answered the last time.")
_MEMORY = Measure("process_resident_memory_bytes", "gauge", "Memory of this process.")
_CPU = Measure("process_cpu_seconds_total", "counter", "CPU time of this process.")
_THREADS = Measure("process_threads", "gauge", "Threads of this process.")


class Counts:
    """Counters and gauges of a namespace's endpoints. Thread-safe."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._lock = threading.Lock()
        self._values: dict[Measure, dict[tuple[tuple[str, str], ...], float]] = {}

    def add(self, measure: Measure, amount: float = 1.0, **labels: str) -> None:
        """Increase a counter."""
        key = tuple(sorted(labels.items()))
        with self._lock:
            each = self._values.setdefault(measure, {})
            each[key] = each.get(key, 0.0) + amount

    def put(self, measure: Measure, value: float, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._values.setdefault(measure, {})[tuple(sorted(labels.items()))] = value

    def forget(self, measure: Measure, **labels: str) -> None:
        """Remove the series with these labels."""
        gone = set(labels.items())
        with self._lock:
            each = self._values.get(measure, {})
            for key in [key for key in each if gone <= set(key)]:
                del each[key]

    def probed(self, name: str, found: Sequence[Datum]) -> None:
        """Publish the result of an endpoint's last probe; empty removes it."""
        values = {series(one.name): one.value for one in found}
        if found:
            values[ASKED.name] = found[0].at
        for measure in (SOUND, TOOK, ASKED):
            if measure.name in values:
                self.put(measure, values[measure.name], endpoint=name)
            else:
                self.forget(measure, endpoint=name)

    def text(self) -> str:
        """All metrics, with those of the process."""
        with self._lock:
            values = {measure: dict(each) for measure, each in self._values.items()}
        return "".join(
            line for measure, each in {**values, **_process()}.items() for line in self._lines(measure, each)
        )

    def _lines(self, measure: Measure, each: Mapping[tuple[tuple[str, str], ...], float]) -> Iterator[str]:
        yield f"# HELP {measure.name} {measure.help}\n# TYPE {measure.name} {measure.kind}\n"
        for key, value in sorted(each.items()):
            labels = dict(key)
            if ENDPOINT in labels:  # another namespace may have one of the same name
                labels[NAMESPACE] = self._namespace
            yield f"{exposed(measure.name, labels)} {value!r}\n"


def _process() -> Mapping[Measure, dict[tuple[tuple[str, str], ...], float]]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        _MEMORY: {(): pages * os.sysconf("SC_PAGE_SIZE")},
        _CPU: {(): used.ru_utime + used.ru_stime},
        _THREADS: {(): threading.active_count()},
    }
