"""`Signals` from CloudWatch: the metrics that SageMaker publishes of an endpoint's variants, and those of a user's own.

Everything is read as counts and sums per window. How many answers were slower than a threshold comes from the statistic
`PR(:threshold)`, the percentage of values up to it, times the number of values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from platforms.aws import metrics
from platforms.aws.clients import Clients, calling
from platforms.aws.metrics import INVOCATIONS, LATENCY, REFUSED, SAGEMAKER
from rollout.controller.ports import Ask, Quantile
from rollout.core.decision import REQUESTS, Seen
from rollout.core.errors import RolloutError, Unreachable
from rollout.core.failing import FAILED
from rollout.judge.metrics import Metric, Tally, Window

_COUNTS = {
    REQUESTS: (INVOCATIONS, REFUSED, metrics.FAILED),
    FAILED: (INVOCATIONS, metrics.FAILED),
}
_HISTORY, _PERIOD = 3 * 3600, 3600  # where a quantile is looked for, seconds
_PERCENT = 100


@dataclass(frozen=True)
class Series:
    """One statistic of one metric of one variant.

    Attributes:
        metric: Its name in its namespace.
        stat: `Sum`, `SampleCount`, `p99`, `PR(:300)`, ...
        variant: The production variant.
        namespace: Where it is published.
        rollout_id: Of a metric that is counted by rollout; empty for SageMaker's own.
    """

    metric: str
    stat: str
    variant: str
    namespace: str = SAGEMAKER
    rollout_id: str = ""


Found = Mapping[tuple[Series, int], float]


@dataclass(frozen=True)
class CloudWatchSignals:
    """`Signals` over one SageMaker endpoint.

    An error is an answer 4XX or 5XX of the variant: a client's own mistakes meet both variants alike, and a challenger
    that refuses what the champion takes is worse.
    """

    clients: Clients
    endpoint: str

    def read(self, ask: Ask) -> Seen:
        """The windows between two times, on CloudWatch's grid; a window without a data point holds nothing."""
        width = ask.window_seconds
        first, last = -(-int(ask.start) // width) * width, int(ask.end) // width * width
        if last <= first:
            return Seen(())
        sides = {ask.champion: _sources(ask, ask.champion, 0.0), ask.challenger: _sources(ask, ask.challenger, 1.0)}
        wanted = dict.fromkeys(series for sources in sides.values() for source in sources for series in source.series)
        try:
            found = self.fetch(wanted, (first, last), width)
        except RolloutError as error:
            return Seen.unknown(str(error))
        return Seen(
            tuple(
                Window(
                    at,
                    width,
                    {item.name: item.tally(found, at) for item in sides[ask.champion]},
                    {item.name: item.tally(found, at) for item in sides[ask.challenger]},
                )
                for at in range(first, last, width)
            )
        )

    def quantile(self, variant: str, quantile: float, end: float) -> Quantile | None:
        """The quantile of ModelLatency, microseconds, in the busiest of the last hours."""
        stat = f"p{_PERCENT * quantile:g}"
        value, count = Series(LATENCY, stat, variant), Series(LATENCY, "SampleCount", variant)
        last = -(-int(end) // _PERIOD) * _PERIOD
        try:
            found = self.fetch((value, count), (last - _HISTORY, last), _PERIOD)
        except RolloutError:
            return None
        seen = [Quantile(found[value, at], int(n)) for (series, at), n in found.items() if series == count]
        return max(seen, key=lambda item: item.requests, default=None)

    def fetch(self, wanted: Iterable[Series], span: tuple[int, int], period: int) -> Found:
        """The values of all series between two epoch seconds, by series and begin of the period.

        Raises:
            RolloutError: CloudWatch does not answer, throttles or refuses.
        """
        asked = {f"q{n}": series for n, series in enumerate(wanted)}
        queries = [self._query(key, series, period) for key, series in asked.items()]
        found: dict[tuple[Series, int], float] = {}
        times = {"StartTime": datetime.fromtimestamp(span[0], UTC), "EndTime": datetime.fromtimestamp(span[1], UTC)}
        more: dict[str, str] = {}
        while True:
            with calling(f"read metrics of endpoint {self.endpoint}"):
                answer = self.clients("cloudwatch").get_metric_data(
                    MetricDataQueries=queries, ScanBy="TimestampAscending", **times, **more
                )
            unfinished = {"PartialData"} if answer.get("NextToken") else set[str]()
            for result in answer["MetricDataResults"]:
                if result.get("StatusCode", "Complete") not in {"Complete", *unfinished}:
                    raise Unreachable(f"metric {asked[result['Id']]}: CloudWatch says {result['StatusCode']}")
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    found[asked[result["Id"]], int(at.timestamp())] = float(value)
            if not answer.get("NextToken"):
                return found
            more = {"NextToken": answer["NextToken"]}

    def _query(self, key: str, series: Series, period: int) -> dict[str, Any]:
        place = metrics.place(self.endpoint, series.variant, **{metrics.ROLLOUT: series.rollout_id})
        metric = {
            "Namespace": series.namespace,
            "MetricName": series.metric,
            "Dimensions": metrics.dimensions(place),
        }
        return {"Id": key, "MetricStat": {"Metric": metric, "Period": period, "Stat": series.stat}}


@dataclass(frozen=True)
class Source:
    """Where a metric's tally of one variant comes from.

    Attributes:
        name: The name of its tallies: the metric's, or one that is always read.
        metric: The metric; None of what is always read.
        series: What is read: counts first, then sums.
        since: Epoch seconds; windows before it hold nothing.
    """

    name: str
    metric: Metric | None
    series: tuple[Series, ...]
    since: float = 0.0

    def tally(self, found: Found, at: int) -> Tally:
        """The tally of the window that begins at `at`; it holds nothing when one of the series does not."""
        seen = [found.get((series, at)) for series in self.series]
        values = [value for value in seen if value is not None]
        if len(values) < len(seen):
            return Tally()  # a missing number is no 0: neither "none failed" nor "all were slow"
        count = int(values[0])
        if self.metric is None:
            return Tally(count, min(count, int(sum(values[1:]))))
        if self.metric.kind == "quantile":
            return Tally(count, count - round(count * values[1] / _PERCENT)) if at >= self.since else Tally()
        if self.metric.kind == "rate":
            return Tally(count, values[1])
        return Tally(count, values[1], values[2])


def _sources(ask: Ask, variant: str, slack: float) -> list[Source]:
    """What to read of a variant; `slack` is the part of a quantile's margin that its threshold is raised by."""
    found = [
        Source(name, None, tuple(Series(metric, "Sum", variant) for metric in counts))
        for name, counts in _COUNTS.items()
    ]
    for metric in ask.metrics:
        if metric.name == REQUESTS:
            continue
        if metric.kind == "quantile":
            pivot = ask.pivots.get(metric.name)
            if pivot is not None:
                cut = f"PR(:{pivot.value * (1 + slack * metric.margin):.6f})"
                series = (Series(LATENCY, "SampleCount", variant), Series(LATENCY, cut, variant))
                found.append(Source(metric.name, metric, series, pivot.since))
            continue
        own = [(metric.metric, "SampleCount"), (metric.metric, "Sum")]
        if metric.kind == "mean":
            own.append((f"{metric.metric}Squared", "Sum"))
        series = tuple(Series(name, stat, variant, metric.namespace, ask.rollout_id) for name, stat in own)
        found.append(Source(metric.name, metric, series))
    return found
