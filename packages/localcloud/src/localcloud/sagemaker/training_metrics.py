"""Which metrics does a training job write into its output?"""

from __future__ import annotations

import math
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
        self._seen: dict[str, _Seen] = {}

    def hear(self, line: str) -> None:
        """Look for metrics in a line of output."""
        for name, pattern in self._patterns.items():
            found = pattern.search(line)
            value = _number(found[1]) if found else None
            if value is not None:
                now = self._now()
                self._last[name] = {"MetricName": name, "Value": value, "Timestamp": now}
                self._seen.setdefault(name, _Seen()).add(value)
                self._sink.put(NAMESPACE, [Datum(name, self._dimensions, value, "None", now)])

    def final(self) -> list[Document]:
        """The last value of each metric that was seen, as FinalMetricDataList shows it."""
        return list(self._last.values())[:_MOST]

    def summaries(self) -> list[Document]:
        """What the values of each metric come to, as a trial component shows it."""
        return [
            {
                "MetricName": last["MetricName"],
                "TimeStamp": last["Timestamp"],
                "Last": last["Value"],
                **self._seen[last["MetricName"]].shown(),
            }
            for last in self.final()
        ]


class _Seen:
    """The values of a metric, in constant space.

    Source of the variance: Welford, Note on a Method for Calculating Corrected Sums of Squares and Products (1962).
    AWS does not say of what StdDev is; here it is of all values, not of a sample.
    """

    def __init__(self) -> None:
        self._count, self._mean, self._squares = 0, 0.0, 0.0
        self._least, self._most = math.inf, -math.inf

    def add(self, value: float) -> None:
        """Take another value."""
        self._count += 1
        off = value - self._mean
        self._mean += off / self._count
        self._squares += off * (value - self._mean)
        self._least, self._most = min(self._least, value), max(self._most, value)

    def shown(self) -> Document:
        """Members of a TrialComponentMetricSummary."""
        spread = math.sqrt(self._squares / self._count)
        of_all = {"Count": self._count, "Avg": self._mean, "StdDev": spread}
        return {"Min": self._least, "Max": self._most, **of_all}


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if abs(value) < float("inf") else None
