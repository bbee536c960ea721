"""The metrics, in memory that all processes share, and their text for `/metrics` (OpenMetrics 1.0).

Each process writes only its own part, so none waits for another, and counts outlive the process that made them.

Source of the text form: https://github.com/OpenObservability/OpenMetrics, specification 1.0.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the latency histogram."""
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000)
"""Upper bounds of the histogram of rows per batch."""
FAILURES = (
    "bad_request",  # 400: the body does not match the declaration
    "not_found",  # 404, 405: no such path or method
    "slow_client",  # 408: the request did not arrive in time
    "too_large",  # 413, 431
    "media_type",  # 415
    "model",  # 500: the model raised an error, or gave an invalid answer
    "crash",  # 500: the worker ended
    "internal",  # 500: the runtime itself raised an error
    "overloaded",  # 503: the queue was full
    "deadline",  # 504: the model did not answer in time
)
"""The kinds of failed requests; each has its own statuses."""
_OTHER = (
    *("requests", "rows", "waiting", "connections", "restarts", "seconds", "batched"),
    *("captured", "capture_dropped", "capture_failed"),
)
_CELLS = {name: place for place, name in enumerate((*_OTHER, *FAILURES))}
_LATENCY = len(_CELLS)
_SIZE = _LATENCY + len(SECONDS) + 1
CELLS = _SIZE + len(SIZES) + 1
"""Numbers of one process."""
BYTES = CELLS * 8


class Counts:
    """The counts of one process: a part of shared memory that is at least `(worker + 1) * BYTES` long."""

    def __init__(self, memory: memoryview, worker: int) -> None:
        self._cells = memory[worker * BYTES : (worker + 1) * BYTES].cast("d")

    def __getitem__(self, name: str) -> float:
        return self._cells[_CELLS[name]]

    def add(self, name: str, number: float = 1) -> None:
        """Increase a counter."""
        self._cells[_CELLS[name]] += number

    def put(self, name: str, number: float) -> None:
        """Set a gauge."""
        self._cells[_CELLS[name]] = number

    def answered(self, rows: int, seconds: float) -> None:
        """Count an answered request; `seconds` from its last byte to its answer."""
        cells = self._cells
        cells[0] += 1
        cells[1] += rows
        cells[_CELLS["seconds"]] += seconds
        cells[_LATENCY + bisect_left(SECONDS, seconds)] += 1

    def batch(self, rows: int) -> None:
        """Count a predicted batch."""
        self._cells[_CELLS["batched"]] += rows
        self._cells[_SIZE + bisect_left(SIZES, rows)] += 1

    def failed(self, kind: str) -> None:
        """Count a failed request, by its kind."""
        self._cells[0] += 1
        self._cells[_CELLS[kind]] += 1

    def histogram(self, first: int, buckets: int) -> list[float]:
        """Counts of the buckets; the last one is above all bounds."""
        return list(self._cells[first : first + buckets + 1])


def exposition(processes: Sequence[Counts], labels: Mapping[str, str]) -> str:
    """The counts of all processes as OpenMetrics text, each with the labels."""

    def total(name: str) -> float:
        return sum(counts[name] for counts in processes)

    lines = [
        *_simple("serving_requests", "counter", "Requests, answered or not.", labels, total("requests")),
        *_head("serving_failures", "counter", "Requests that were not answered, by kind."),
        *(f"serving_failures_total{_shown({**labels, 'kind': kind})} {total(kind):.17g}" for kind in FAILURES),
        *_simple("serving_rows", "counter", "Rows that were answered.", labels, total("rows")),
        *_histogram(processes, "serving_latency_seconds", _LATENCY, SECONDS, labels, total=total("seconds")),
        *_histogram(processes, "serving_batch_rows", _SIZE, SIZES, labels, total=total("batched")),
        *_simple("serving_queue_requests", "gauge", "Requests that wait for a batch.", labels, total("waiting")),
        *_simple("serving_connections", "gauge", "Open connections.", labels, total("connections")),
        *_simple("serving_captured", "counter", "Requests that were captured.", labels, total("captured")),
        *_head(
            "serving_capture_dropped", "counter", "Captures that were dropped: the queue was full, or the sink failed."
        ),
        f"serving_capture_dropped_total{_shown({**labels, 'reason': 'queue'})} {total('capture_dropped'):.17g}",
        f"serving_capture_dropped_total{_shown({**labels, 'reason': 'sink'})} {total('capture_failed'):.17g}",
        *_simple("serving_restarts", "counter", "Processes that were started again.", labels, total("restarts")),
    ]
    return "\n".join([*lines, "# EOF", ""])


_HELP = {
    "serving_latency_seconds": "From the last byte of a request to its answer.",
    "serving_batch_rows": "Rows that were predicted together.",
}


def _head(name: str, kind: str, text: str) -> list[str]:
    unit = [f"# UNIT {name} seconds"] if name.endswith("_seconds") else []
    return [f"# TYPE {name} {kind}", *unit, f"# HELP {name} {text}"]


def _simple(name: str, kind: str, text: str, labels: Mapping[str, str], value: float) -> list[str]:
    total = "_total" if kind == "counter" else ""
    return [*_head(name, kind, text), f"{name}{total}{_shown(labels)} {value:.17g}"]


def _histogram(
    processes: Sequence[Counts],
    name: str,
    first: int,
    bounds: Sequence[float],
    labels: Mapping[str, str],
    *,
    total: float,
) -> Iterator[str]:
    yield from _head(name, "histogram", _HELP[name])
    found = [sum(column) for column in zip(*(one.histogram(first, len(bounds)) for one in processes), strict=True)]
    for bound, count in zip([*(f"{float(bound)}" for bound in bounds), "+Inf"], accumulate(found), strict=True):
        yield f"{name}_bucket{_shown({**labels, 'le': bound})} {count:.17g}"
    yield f"{name}_count{_shown(labels)} {sum(found):.17g}"
    yield f"{name}_sum{_shown(labels)} {total:.17g}"


def _shown(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    escape = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    return "{" + ",".join(f'{name}="{value.translate(escape)}"' for name, value in labels.items()) + "}"
