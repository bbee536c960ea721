"""`Counters` on AWS: SageMaker's metrics of an endpoint's variants, and custom ones, as counts and sums per window.

The number of responses up to a latency is the statistic `PR(:threshold)`, a percentage, times the number of values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from modelstack.platforms.aws import metrics
from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.aws.metrics import INVOCATIONS, LATENCY, REFUSED, SAGEMAKER
from modelstack.platforms.aws.pages import pages
from modelstack.rollout.controller.ports import Quantile
from modelstack.rollout.core.catalogue import INVALID, OWN
from modelstack.rollout.core.decision import REQUESTS
from modelstack.rollout.core.errors import Unreachable
from modelstack.rollout.core.failing import FAILED
from modelstack.rollout.judge.metrics import Kind, Metric, Tally
from modelstack.services.counters import COUNTED, CountedWindow, Counters, CountQuery

_COUNTS = {
    REQUESTS: (INVOCATIONS, REFUSED, metrics.FAILED),
    FAILED: (INVOCATIONS, metrics.FAILED),
}
_STATUS = metrics.FAILED, REFUSED  # SageMaker reports every answer in both, as 0 or 1
_LOST = 0.001  # the share of reports that may never come
_PERIODS = 3600, 900, 300, 60  # over which a quantile is read, seconds
_PERCENT = 100


@dataclass(frozen=True)
class Series:
    """One statistic (`Sum`, `SampleCount`, `p99`, `PR(:300)`) of one metric of one variant.

    `rollout_id` is the dimension of metrics that are counted by rollout; empty for SageMaker's own.
    """

    metric: str
    stat: str
    variant: str
    namespace: str = SAGEMAKER
    rollout_id: str = ""


Found = Mapping[tuple[Series, int], float]


@dataclass(frozen=True)
class CloudWatchCounters(Counters):
    """`Counters` over one SageMaker endpoint. A window without a data point of a variant has no count of it.

    SageMaker reports no 0: an earlier window without a data point of any variant had no request.
    """

    clients: Clients
    endpoint: str

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        """See `Counters`. A window is closed when the status of its answers is reported (see `_unreported`)."""
        sources = {variant: tuple(_sources(query, variant)) for variant in query.variants}
        series = [each for found in sources.values() for source in found for each in source.series]
        reports = [Series(name, "SampleCount", variant) for variant in sources for name in _STATUS]
        values = self.fetch(dict.fromkeys([*series, *reports]), query.grid, query.seconds)
        open_from = min((_unreported(values, query, report) for report in reports), default=query.grid[1])

        late = {metric.name: _late_from(values, query, metric) for metric in query.metrics if metric.namespace != OWN}
        requests = [at for each, at in values if each.metric == INVOCATIONS]
        newest, known = max(requests, default=0), set(requests)

        def tallies(at: int, variant: str) -> dict[str, Tally]:
            if at < newest and at not in known:
                return {REQUESTS: Tally(), FAILED: Tally()}
            counted = (source for source in sources[variant] if at < late.get(source.name, math.inf))
            found = ((source.name, source.tally(values, at)) for source in counted)
            return {name: tally for name, tally in found if tally is not None}

        times = range(*query.grid, query.seconds)
        return [
            CountedWindow(at, {variant: tallies(at, variant) for variant in query.variants}, closed=at < open_from)
            for at in times
        ]

    def captured(self) -> float:
        """See `Counters`; by the endpoint's current config."""
        with calling(f"describe endpoint {self.endpoint}"):
            described = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        capture: Mapping[str, Any] = described.get("DataCaptureConfig") or {}
        return capture.get("CurrentSamplingPercentage", 0) / _PERCENT if capture.get("EnableCapture") else 0.0

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        """See `Counters`; of ModelLatency, in the busiest period: CloudWatch joins no quantiles of several."""
        stat = f"p{_PERCENT * quantile:g}"
        value, count = Series(LATENCY, stat, variant), Series(LATENCY, "SampleCount", variant)
        period = next((period for period in _PERIODS if 2 * period <= end - start), _PERIODS[-1])
        first, last = (-(-int(at) // period) * period for at in (start, end))
        found = self.fetch((value, count), (first, last), period) if first < last else {}
        seen = [Quantile(found[value, at], int(n)) for (series, at), n in found.items() if series == count]
        return max(seen, key=lambda item: item.requests, default=None)

    def fetch(self, wanted: Iterable[Series], span: tuple[int, int], period: int) -> Found:
        """The values of all series between two epoch seconds, by series and begin of the period."""
        asked = {f"q{n}": series for n, series in enumerate(wanted)}
        queries = [self._query(key, series, period) for key, series in asked.items()]
        found: dict[tuple[Series, int], float] = {}
        times = {"StartTime": datetime.fromtimestamp(span[0], UTC), "EndTime": datetime.fromtimestamp(span[1], UTC)}
        operation = self.clients("cloudwatch").get_metric_data
        with calling(f"read metrics of endpoint {self.endpoint}"):
            answers = list(pages(operation, MetricDataQueries=queries, ScanBy="TimestampAscending", **times))
        for answer in answers:
            unfinished = {"PartialData"} if answer.get("NextToken") else set[str]()
            for result in answer["MetricDataResults"]:
                if result.get("StatusCode", "Complete") not in {"Complete", *unfinished}:
                    raise Unreachable(f"metric {asked[result['Id']]}: CloudWatch says {result['StatusCode']}")
                for at, value in zip(result["Timestamps"], result["Values"], strict=True):
                    found[asked[result["Id"]], int(at.timestamp())] = float(value)
        return found

    def _query(self, key: str, series: Series, period: int) -> dict[str, Any]:
        place = metrics.place(self.endpoint, series.variant, **{metrics.ROLLOUT: series.rollout_id})
        metric = {
            "Namespace": series.namespace,
            "MetricName": series.metric,
            "Dimensions": metrics.dimensions(place),
        }
        return {"Id": key, "MetricStat": {"Metric": metric, "Period": period, "Stat": series.stat}}


def _unreported(found: Found, query: CountQuery, reports: Series) -> int:
    """The begin of the first window with fewer reports of a status than requests, epoch seconds.

    No later window counts either: failures that are reported late would be missing from the newest windows. A report
    that came in a later window than its request is a surplus there, which makes up for it.
    """
    first, last = query.grid
    requests = Series(INVOCATIONS, "Sum", reports.variant)
    times = range(first, last, query.seconds)
    allowed = _LOST * sum(found.get((requests, at), 0.0) for at in times)
    surplus, begin = 0.0, last
    for at in reversed(times):
        surplus = max(surplus, 0.0) + found.get((reports, at), 0.0) - found.get((requests, at), 0.0)
        if surplus < -allowed:
            begin = at
    return begin


def _late_from(found: Found, query: CountQuery, metric: Metric) -> int:
    """The begin of the first window without all values of a custom metric, epoch seconds.

    By the rule of `_unreported`, if the metric had a value for every request in the first half of the windows. How many
    values another metric gets is not known, so none of it counts as late.
    """
    first, last = query.grid
    half = range(first, first + (last - first) // 2, query.seconds)
    begin = last
    for variant in query.variants:
        values = Series(metric.metric, "SampleCount", variant, metric.namespace, query.rollout_id)
        each = Series(INVOCATIONS, "Sum", variant), values
        answers, came = (sum(found.get((series, at), 0.0) for at in half) for series in each)
        if answers and came >= (1 - _LOST) * answers:
            begin = min(begin, _unreported(found, query, values))
    return begin


@dataclass(frozen=True)
class TallySource:
    """The source of a tally of one variant.

    Attributes:
        kind: The kind of its metric; None for counts.
        series: The series to read: counts first, then sums.
    """

    name: str
    kind: Kind | None
    series: tuple[Series, ...]

    def tally(self, found: Found, at: int) -> Tally | None:
        """The tally of the window that begins at `at`; None if one of the series has no value."""
        known = [found.get((series, at)) for series in self.series]
        values = [value for value in known if value is not None]
        if len(values) < len(known):
            return None  # a missing number is no 0: neither "none failed" nor "all were slow"
        count = int(values[0])
        if self.kind is None:
            return Tally(count, min(count, int(sum(values[1:]))))
        if self.kind == "quantile":
            return Tally(count, count - round(count * values[1] / _PERCENT))
        return Tally(count, *values[1:])


def _sources(query: CountQuery, variant: str) -> Iterator[TallySource]:
    for name, counts in _COUNTS.items():
        yield TallySource(name, None, tuple(Series(metric, "Sum", variant) for metric in counts))
    for name, cut in query.cuts.get(variant, {}).items():
        stats = "SampleCount", f"PR(:{cut:.6f})"
        yield TallySource(name, "quantile", tuple(Series(LATENCY, stat, variant) for stat in stats))
    if query.captured:  # each is observed, whatever it says
        yield TallySource(COUNTED, None, (Series(INVALID, "SampleCount", variant, OWN),))
    for metric in query.metrics:
        own = [(metric.metric, "SampleCount"), (metric.metric, "Sum")]
        if metric.kind == "mean":
            own.append((f"{metric.metric}Squared", "Sum"))
        series = (Series(name, stat, variant, metric.namespace, query.rollout_id) for name, stat in own)
        yield TallySource(metric.name, metric.kind, tuple(series))
