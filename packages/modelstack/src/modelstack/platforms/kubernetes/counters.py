"""`Counters` on Kubernetes: Envoy's counts of variants, our own metrics, and custom metrics.

Every value is a count or sum of a window. Nothing is interpolated: a window without samples has no value.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from modelstack.platforms.kubernetes.envoy import ALL, Counted, EnvoyCounts
from modelstack.platforms.kubernetes.increments import Key
from modelstack.platforms.kubernetes.metrics import CLUSTER, EDGE, LATENCY, any_of, matched, nearest_edge
from modelstack.platforms.kubernetes.own import Observed, OwnCounts
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.rollout.controller.ports import Quantile
from modelstack.rollout.core.decision import REQUESTS
from modelstack.rollout.core.errors import Unanswered
from modelstack.rollout.core.failing import FAILED, UNANSWERED
from modelstack.rollout.judge.metrics import Tally
from modelstack.services.counters import CountedWindow, CountQuery

_MICROSECONDS = 1000  # in a millisecond: Envoy counts in these
_PART = 3600  # seconds whose samples are held at once
_NEWEST = 2
"""A gateway with 5XX responses of its own in one of this many last known windows is taken to be still failing."""


@dataclass
class _Known:
    """Windows that were read before and are closed."""

    of: object = None
    windows: list[Counted] = field(default_factory=list[Counted])


@dataclass(frozen=True)
class PrometheusCounters:
    """`Counters` over the metrics that Prometheus scrapes of Envoy and of the controller.

    Requests that select a variant by header count too. Latencies are known only at the gateway's bucket bounds, so a
    cut moves to the nearest one. Closed windows are cached, so a later call reads only new ones.

    Attributes:
        clusters: Returns the clusters of Envoy that serve a variant.
        share: The share of responses that is captured, 0 to 1.
    """

    prometheus: Prometheus
    namespace: str
    endpoint: str
    clusters: Callable[[str], tuple[str, ...]]
    share: float = 1.0
    _known: _Known = field(default_factory=_Known, compare=False, repr=False)

    def counts(self, query: CountQuery) -> list[CountedWindow]:
        """See `Counters`; raises RolloutError if Prometheus lags, or the gateway itself answers requests with 5XX."""
        if query.provisional:
            return self._latest(query)
        counted = self._closed(query)
        own = OwnCounts(self.prometheus, self.namespace, self.endpoint).read(query, *query.grid)
        newest = [window for window in counted if window.gateway or window.counts is not None][-_NEWEST:]
        if made := sum(window.gateway for window in newest):
            seconds = query.grid[1] - newest[0].start
            raise Unanswered(
                f"the gateway answers requests itself with a 5XX, {made:.0f} in the last {seconds} s, "
                "which no variant counts: nobody can say how either does. Look whether each variant has ready pods"
            )
        closed = {window.start: window for window in counted}
        return [
            _window(query, at, closed.get(at), own, closed=at in closed) for at in range(*query.grid, query.seconds)
        ]

    def cut(self, latency: float) -> float | None:
        """See `Counters`: the bound of a bucket."""
        edge = nearest_edge(latency / _MICROSECONDS)
        return None if edge is None else edge * _MICROSECONDS

    def captured(self) -> float:
        return self.share

    def _closed(self, query: CountQuery) -> list[Counted]:
        (first, last), width, edges = query.grid, query.seconds, _edges(query)
        clusters = {variant: self.clusters(variant) for variant in query.variants}
        known, key = self._known, (clusters, first, width, edges)
        if known.of != key:
            known.of, known.windows = key, []
        begin = known.windows[-1].start + width if known.windows else first
        envoys, part, found = EnvoyCounts(self.prometheus), max(1, _PART // width) * width, list[Counted]()
        while last - begin > part:
            found += envoys.read(clusters, begin, begin + part, width, edges, until=None)
            begin += part
        if begin < last:
            found += envoys.read(clusters, begin, last, width, edges, until=query.end)
        known.windows += found  # once it is known that Prometheus is not behind
        return [window for window in known.windows if window.start < last]

    def _latest(self, query: CountQuery) -> list[CountedWindow]:
        """Counts scrape by scrape up to the end, because an alarm may fire within a window.

        All variants are counted at the same scrapes, so it does not matter to which window a late one belongs.
        """
        end = math.floor(query.end) + 1  # what was scraped in the same second, a rule has seen
        first = math.floor(query.start) + 1
        clusters = {variant: self.clusters(variant) for variant in query.variants}
        scrapes = EnvoyCounts(self.prometheus).read(
            clusters, first, end, 1, _edges(query), until=query.end, as_seen=True
        )
        together = defaultdict[int, Counter[Key]](Counter)
        for one in scrapes:
            start = end - ((end - 1 - one.start) // query.seconds + 1) * query.seconds
            together[start].update(one.counts or {})
        return [_window(query, start, Counted(start, counts)) for start, counts in together.items()]

    def quantile(self, variant: str, quantile: float, start: float, end: float) -> Quantile | None:
        """See `Counters`. The bucket bound at or above it; None above all bounds."""
        matches, seconds = {CLUSTER: any_of(self.clusters(variant))}, max(1, math.floor(end - start))
        query = f"sum by ({EDGE}) (increase({matched(LATENCY, like=matches)}[{seconds}s]))"
        found = sorted((float(labels[EDGE]), count) for labels, count in self.prometheus.values(query, end))
        requests = found[-1][1] if found else 0.0
        edge = next((edge for edge, count in found if count >= quantile * requests), ALL)
        if not requests or not math.isfinite(edge):
            return None
        return Quantile(edge * _MICROSECONDS, int(requests))


def _edges(query: CountQuery) -> set[float]:
    return {cut / _MICROSECONDS for cuts in query.cuts.values() for cut in cuts.values()}


def _window(
    query: CountQuery, start: int, counted: Counted | None, own: Observed | None = None, *, closed: bool = True
) -> CountedWindow:
    tallies: dict[str, dict[str, Tally]] = {}
    for variant in query.variants:
        found = dict(_of_envoy(counted, variant, query.cuts.get(variant, {}))) if counted else {}
        tallies[variant] = {**found, **(own.tallies(start, variant) if own else {})}
    return CountedWindow(start, tallies, closed)


def _of_envoy(window: Counted, variant: str, cuts: Mapping[str, float]) -> Iterable[tuple[str, Tally]]:
    if window.counts is None or window.gateway:
        return
    lost = round(window.lost.get(variant, 0.0))
    requests, failed = round(window.requests(variant)), round(window.of(variant, "5"))
    yield REQUESTS, Tally(requests, failed + round(window.of(variant, "4")))
    yield FAILED, Tally(requests, failed)
    yield UNANSWERED, Tally(requests + lost, lost)
    answers = round(window.of(variant, ALL))
    for name, cut in cuts.items():
        yield name, Tally(answers, answers - round(window.of(variant, cut / _MICROSECONDS)))
