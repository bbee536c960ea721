"""`Signals` from Prometheus: what Envoy counted of two variants, and the metrics of our own and of users.

Everything is a count or a sum of a window. Nothing is interpolated: a window that the samples do not cover holds
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from platforms.kubernetes.envoy import ALL, Counted, EnvoyCounts
from platforms.kubernetes.metrics import CLUSTER as _CLUSTER
from platforms.kubernetes.metrics import (
    EDGE,
    LATENCY,
    any_of,
    edge_at_or_above,
    matched,
    series,
)
from platforms.kubernetes.own import Observed, OwnCounts
from platforms.kubernetes.prometheus import Prometheus
from rollout.controller.ports import Ask, Quantile
from rollout.core.catalogue import KNOWN, OWN
from rollout.core.decision import REQUESTS, Seen
from rollout.core.errors import RolloutError
from rollout.core.failing import FAILED
from rollout.judge.metrics import Metric, Tally, Window

_HISTORY = 3 * 3600  # where a quantile is looked for, seconds
_MICROSECONDS = 1000  # in a millisecond: Envoy counts in these, the core in microseconds
_PART = 3600  # seconds whose samples are held at once
_NEWEST = 2
"""So many windows at the end, in one of which the gateway answered itself, say that it goes on."""


@dataclass
class _Known:
    """The windows that were read before and do not change any more."""

    of: object = None
    windows: list[Counted] = field(default_factory=list[Counted])


@dataclass(frozen=True)
class PrometheusSignals:
    """`Signals` over what Prometheus scrapes of Envoy and of the controller.

    An error is an answer 4XX or 5XX of the variant, as on AWS. Requests that name the variant in a header are among
    them. Latencies are counted at the bounds of Envoy's buckets alone: a pivot is moved to the bound at or above it,
    and so is the challenger's threshold, `(1 + margin)` times as long. So a challenger may be somewhat slower than the
    margin says (of 100 ms and 50% up to 250 ms), never less.

    Windows that were read once are kept, so a later call reads what is new. Keep the object as long as a trial.

    Attributes:
        prometheus: Which is asked.
        namespace: Where the endpoint is, as the labels of our own metrics have it.
        endpoint: The endpoint, as they have it.
        clusters: Says by which clusters of Envoy a variant is served.
        captured: The share of answers that is captured, 0 to 1.
    """

    prometheus: Prometheus
    namespace: str
    endpoint: str
    clusters: Callable[[str], tuple[str, ...]]
    captured: float = 1.0
    _known: _Known = field(default_factory=_Known, compare=False, repr=False)

    def read(self, ask: Ask) -> Seen:
        """The windows between two times, on a grid that begins in 1970."""
        width = ask.window_seconds
        first, last = -(-int(ask.start) // width) * width, int(ask.end) // width * width
        if last <= first:
            return Seen(())
        sources = _sources(ask)
        try:
            counted = self._counted(ask, sources, first, last)
            own = OwnCounts(self.prometheus, self.namespace, self.endpoint).read(ask, first, last)
        except RolloutError as error:
            return Seen.unknown(str(error))
        made = sum(window.gateway for window in counted[-_NEWEST:])
        if made:
            return Seen.unknown(
                f"the gateway answers requests itself with a 5XX, {made:.0f} in the last {_NEWEST * width} s, which no "
                "variant counts: nobody can say how either does. Look whether each variant has ready pods"
            )
        windows = tuple(
            Window(
                window.start,
                width,
                _tallies(window, ask.champion, sources[ask.champion], own),
                _tallies(window, ask.challenger, sources[ask.challenger], own),
            )
            for window in counted
        )
        ours = any(metric.namespace == OWN for metric in ask.metrics)
        return Seen(windows, counted=self._of_all(own, ask.challenger) if ours and self.captured else None)

    def _of_all(self, own: Observed, challenger: str) -> float:
        """Of how many answers those that were counted are a random share; of a part of them, as many as may well be."""
        counted = own.total(series(KNOWN["invalid_answers"].metric), challenger)
        return counted if self.captured >= 1 else (counted + 3 * math.sqrt(counted)) / self.captured

    def _counted(self, ask: Ask, sources: Mapping[str, Sequence[_Cut]], first: int, last: int) -> list[Counted]:
        clusters = {variant: self.clusters(variant) for variant in (ask.champion, ask.challenger)}
        cuts = {cut.edge for each in sources.values() for cut in each}
        known, key = self._known, (clusters, first, ask.window_seconds, cuts)
        if known.of != key:
            known.of, known.windows = key, []
        width, edges, found = ask.window_seconds, cuts - {ALL}, list[Counted]()
        begin = known.windows[-1].start + width if known.windows else first
        envoys, part = EnvoyCounts(self.prometheus), max(1, _PART // width) * width
        while last - begin > part:
            found += envoys.read(clusters, begin, begin + part, width, edges, until=None)
            begin += part
        if begin < last:
            found += envoys.read(clusters, begin, last, width, edges, until=ask.end)
        known.windows += found  # once it is known that Prometheus is not behind
        return [window for window in known.windows if window.start < last]

    def quantile(self, variant: str, quantile: float, end: float) -> Quantile | None:
        """The bound of the bucket that holds a quantile of the hours before, in microseconds: at or above it."""
        matches = {_CLUSTER: any_of(self.clusters(variant))}
        query = f"sum by ({EDGE}) (increase({matched(LATENCY, like=matches)}[{_HISTORY}s]))"
        try:
            found = sorted((float(labels[EDGE]), count) for labels, count in self.prometheus.values(query, end))
        except RolloutError:
            return None
        requests = found[-1][1] if found else 0.0
        edge = next((edge for edge, count in found if count >= quantile * requests), ALL)
        if not requests or not math.isfinite(edge):
            return None
        return Quantile(edge * _MICROSECONDS, int(requests))


@dataclass(frozen=True)
class _Cut:
    """Where a latency is cut for one variant.

    Attributes:
        name: The metric's.
        edge: The bound of a bucket, milliseconds; infinite above the last one.
        since: Epoch seconds; windows before it hold nothing.
    """

    name: str
    edge: float
    since: float


def _sources(ask: Ask) -> dict[str, list[_Cut]]:
    """Where latencies are cut, by variant."""
    pivots = [(metric, ask.pivots[metric.name]) for metric in ask.metrics if metric.name in ask.pivots]

    def cut(metric: Metric, pivot: float, slack: float, since: float) -> _Cut:
        # From the bound that the champion's pivot is moved to, or the challenger would have less than the margin.
        edge = edge_at_or_above(pivot / _MICROSECONDS)
        more = edge_at_or_above(edge * (1 + slack * metric.margin)) if edge is not None else None
        return _Cut(metric.name, ALL if more is None else more, since)

    return {
        variant: [cut(metric, pivot.value, slack, pivot.since) for metric, pivot in pivots]
        for variant, slack in ((ask.champion, 0.0), (ask.challenger, 1.0))
    }


def _tallies(window: Counted, variant: str, cuts: Iterable[_Cut], own: Observed) -> dict[str, Tally]:
    return {**_of_envoy(window, variant, cuts), **own.tallies(window.start, variant)}


def _of_envoy(window: Counted, variant: str, cuts: Iterable[_Cut]) -> dict[str, Tally]:
    if window.counts is None:
        return {}
    requests, failed = round(window.requests(variant)), round(window.of(variant, "5"))
    found = {
        REQUESTS: Tally(requests, failed + round(window.of(variant, "4"))),
        FAILED: Tally(requests, failed),
    }
    for cut in cuts:
        if window.start >= cut.since and math.isfinite(cut.edge):
            answers = round(window.within(variant, ALL))
            found[cut.name] = Tally(answers, answers - round(window.within(variant, cut.edge)))
    return found
