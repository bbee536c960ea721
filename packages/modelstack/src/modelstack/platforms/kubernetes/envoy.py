"""Requests that the Envoys of a gateway counted of variants, by window, from the samples of their scrapes.

A 5XX counts for a variant only if its pod answered it, by the header of its runtime. The gateway's own 5XX are known by
differences of counters. Between a variant's requests and its pod's answers: the variant's unanswered requests. Between
the listeners' and all backends' responses: those that no variant counts. Windows with such ones are unknown.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelstack.platforms.kubernetes import metrics
from modelstack.platforms.kubernetes.increments import Attributed, Key, Points, ScrapeTarget, attribute, surplus
from modelstack.platforms.kubernetes.metrics import any_of, edge_pattern, matched
from modelstack.platforms.kubernetes.prometheus import Prometheus, Samples
from modelstack.rollout.core.errors import Unreachable

Clusters = Mapping[str, tuple[str, ...]]  # variant -> the names of its Envoy clusters
ALL = float("inf")  # the bound of the bucket that counts all responses
_CLASSES = ("2", "3", "4", "5")
_MARGIN = 60.0
"""Seconds read before and after the requested time, because a step begins before its window and ends after it."""
_ANSWERED, _PASSED_ON = ("answered", "5"), ("passed on", "5")
_SENT = "sent 5"  # requests of a variant that ended with a 5XX from a pod or from the gateway


@dataclass(frozen=True)
class Counted:
    """Counts of one window.

    Attributes:
        counts: None if unknown.
        gateway: The 5XX responses of the gateway itself that belong to no variant.
        lost: Variant -> its requests that the gateway answered with a 5XX, as no pod did.
    """

    start: int
    counts: Mapping[Key, float] | None
    gateway: float = 0.0
    lost: Mapping[str, float] = field(default_factory=dict[str, float])

    def requests(self, variant: str) -> float:
        """The number of requests that a variant answered."""
        return sum(self.of(variant, code) for code in _CLASSES)

    def of(self, variant: str, of: str | float) -> float:
        """The number of responses of a status class, such as `5` for 5XX, or within a bucket bound, milliseconds."""
        return (self.counts or {}).get((variant, of), 0.0)


@dataclass(frozen=True)
class EnvoyCounts:
    """Reads the counters of every Envoy that serves given clusters."""

    prometheus: Prometheus

    def read(
        self,
        clusters: Clusters,
        first: int,
        last: int,
        width: int,
        edges: Iterable[float] = (),
        *,
        until: float | None,
        as_seen: bool = False,
    ) -> list[Counted]:
        """The closed windows from `first` to `last`, epoch seconds on the grid, of `width` seconds.

        Args:
            clusters: The clusters of each variant.
            first: The first window.
            last: The end of the last window.
            width: Seconds.
            edges: Latency bucket bounds to read, milliseconds.
            until: Epoch seconds until which samples are required, give or take a minute or a window. None for windows
                so old that no more samples come.
            as_seen: Include open windows, and counts across gaps of up to a minute between scrapes.
        """
        start, end = first - _MARGIN, last + _MARGIN
        variants = {name: variant for variant, names in clusters.items() for name in names}
        ours = {metrics.CLUSTER: any_of(tuple(variants))}
        requests = self.prometheus.samples(matched(metrics.REQUESTS, like={**ours, metrics.CLASS: "[2-5]"}), start, end)
        instances = tuple(sorted({item.labels.get(metrics.INSTANCE, "") for item in requests}))
        if not instances:
            if until is not None:
                self._scraped(until)
            return [Counted(at, {}) for at in range(first, last, width)]
        answers = self.prometheus.samples(matched(metrics.ANSWERS, {metrics.CLASS: "5"}, ours), start, end)
        series: list[tuple[Key, Samples]] = [
            ((variants[item.labels[metrics.CLUSTER]], of), item)
            for items, name in ((requests, _SENT), (answers, "5"))
            for item in items
            for of in [name if item.labels[metrics.CLASS] == "5" else item.labels[metrics.CLASS]]
        ]
        wanted = sorted(set(edges))
        if wanted:
            named = {**ours, metrics.EDGE: "|".join([*map(edge_pattern, wanted), r"\+Inf"])}
            series += [
                ((variants[item.labels[metrics.CLUSTER]], float(item.labels[metrics.EDGE])), item)
                for item in self.prometheus.samples(matched(metrics.LATENCY, like=named), start, end)
            ]
        series += self._of_gateway(instances, start, end)
        here = {metrics.INSTANCE: any_of(instances)}
        beats, ups = (
            self.prometheus.samples(matched(name, like=here), start, end) for name in (metrics.UPTIME, metrics.UP)
        )
        found = attribute(targets(beats, ups, series), width, first, _MARGIN if as_seen else 0.0)
        if until is not None and (late := until - found.newest) > max(_MARGIN, width):
            raise Unreachable(f"Prometheus is behind: its newest sample of an Envoy is {late:.0f} s too old")
        whole = as_seen or until is None
        return _windows(found, tuple(clusters), range(first, last if whole else min(last, found.closed * width), width))

    def _of_gateway(self, instances: tuple[str, ...], start: float, end: float) -> list[tuple[Key, Samples]]:
        """The 5XX responses of the listeners, and those of all clusters."""
        here = {metrics.INSTANCE: any_of(instances)}
        failed = {metrics.CLASS: "5"}
        listeners = matched(metrics.ANSWERED, failed, here, {metrics.LISTENER: metrics.NOT_OF_USERS})
        backends = matched(metrics.REQUESTS, failed, here, {metrics.CLUSTER: metrics.INTERNAL})
        return [
            *((_ANSWERED, item) for item in self.prometheus.samples(listeners, start, end)),
            *((_PASSED_ON, item) for item in self.prometheus.samples(backends, start, end)),
        ]

    def _scraped(self, until: float) -> None:
        """Raise if no Envoy is scraped at all: that must not look like no traffic."""
        if not self.prometheus.values(f"count({metrics.UPTIME})", until):
            raise Unreachable(
                f"Prometheus has no sample of an Envoy in the minutes before {until:.0f}: it does not scrape the "
                "gateway, or is behind"
            )


def targets(
    beats: Sequence[Samples], ups: Sequence[Samples], series: Sequence[tuple[Key, Samples]]
) -> list[ScrapeTarget]:
    """The scraped processes with their counters, by uptime series (`beats`) and `up` series.

    If two jobs or two Prometheus servers scrape one address, the one with most samples counts. Processes that had an
    address one after the other all count.
    """
    chosen: list[Samples] = []
    for item in sorted(beats, key=lambda item: (-len(item.points), sorted(item.labels.items()))):
        same = [other for other in chosen if other.labels.get(metrics.INSTANCE) == item.labels.get(metrics.INSTANCE)]
        if item.points and not any(_overlap(item.points, other.points) for other in same):
            chosen.append(item)
    return [
        ScrapeTarget(
            item.points,
            [at for up in ups if _belongs(up, item) for at, value in up.points if not value],
            [(key, one.points) for key, one in series if _belongs(one, item)],
        )
        for item in chosen
    ]


def _overlap(one: Points, other: Points) -> bool:
    return one[0][0] <= other[-1][0] and other[0][0] <= one[-1][0]


def _belongs(series: Samples, target: Samples) -> bool:
    """Whether a series is of a target: it has the target's labels and those of its metric."""
    return all(series.labels.get(name) == value for name, value in target.labels.items())


def _windows(found: Attributed, variants: Iterable[str], times: range) -> list[Counted]:
    width = times.step
    gateway, lost = _surplus(found, _ANSWERED, _PASSED_ON, width), defaultdict[int, dict[str, float]](dict)
    for variant in variants:
        for number, count in _surplus(found, (variant, _SENT), (variant, "5"), width).items():
            lost[number][variant] = count
    return [
        Counted(
            at,
            None if at // width in found.hidden else found.counts.get(at // width, {}),
            gateway[at // width],
            lost[at // width],
        )
        for at in times
    ]


def _surplus(found: Attributed, whole: Key, part: Key, width: int) -> Counter[int]:
    """By how much one counter exceeds another, by window."""
    each = Counter[int]()
    for target in found.steps:
        for at, count in surplus(target, whole, part):
            each[int(at // width)] += round(count)
    return each
