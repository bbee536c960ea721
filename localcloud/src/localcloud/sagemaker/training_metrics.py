"""Which metrics does a training job write into its output?"""

from __future__ import annotations

import re
from collections.abc import Callable

from localcloud.sagemaker.store import Document
from localcloud.server.platform import Datum, MetricSink

NAMESPACE = "/aws/sagemaker/TrainingJobs"
_MOST = 40  # that FinalMetricDataList holds


class TrainingMetrics:
    """Reads a job's output by its MetricDefinitions, and hands on what it finds.

    Args:
        job: The job's document.
        now: The time.
        sink: Takes every value.
    """

    def __init__(self, job: Document, now: Callable[[], float], sink: MetricSink) -> None:
        definitions = job["AlgorithmSpecification"].get("MetricDefinitions", ())
        self._patterns = {definition["Name"]: re.compile(definition["Regex"]) for definition in definitions}
        self._dimensions = {"TrainingJobName": job["TrainingJobName"]}
        self._now = now
        self._sink = sink
        self._last: dict[str, Document] = {}

    def hear(self, line: str) -> None:
        """Look for metrics in a line of output."""
        for name, pattern in self._patterns.items():
            found = pattern.search(line)
            value = _number(found[1]) if found else None
            if value is not None:
                now = self._now()
                self._last[name] = {"MetricName": name, "Value": value, "Timestamp": now}
                self._sink.put(NAMESPACE, [Datum(name, self._dimensions, value, "None", now)])

    def final(self) -> list[Document]:
        """The last value of each metric that was seen, as FinalMetricDataList shows it."""
        return list(self._last.values())[:_MOST]


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
