"""Windows of our own metrics and of custom metrics, which do not come from the gateway.

A metric `m` of a variant in a rollout has the counters `m_count`, `m_sum` and, for a mean, `m_squared_sum`. Each begins
at 0 with its rollout. A late value counts when it arrives.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from modelstack.platforms.kubernetes.metrics import ENDPOINT, ROLLOUT, VARIANT, any_of, matched, series, whose
from modelstack.platforms.kubernetes.prometheus import Prometheus
from modelstack.rollout.core.catalogue import INVALID, OWN
from modelstack.rollout.judge.metrics import Metric, Tally
from modelstack.services.counters import COUNTED, CountQuery

_COUNT, _SUM, _SQUARES = "_count", "_sum", "_squared_sum"
_CAPTURED = f"{series(INVALID)}{_COUNT}"  # each captured answer, whatever it says


@dataclass(frozen=True)
class Observed:
    """Observations of metrics; `counts` has series and variant -> begin of a window, epoch seconds -> increase."""

    metrics: tuple[Metric, ...]
    counts: Mapping[tuple[str, str], Mapping[int, float]]

    def tallies(self, at: int, variant: str) -> dict[str, Tally]:
        """The tallies of a window by metric; a sum without its count, or the reverse, is omitted."""
        found: dict[str, Tally] = {}
        for metric in self.metrics:
            known = [self.counts.get((name, variant)) for name in _names(metric)]
            values = [each.get(at, 0.0) for each in known if each is not None]
            if len(values) == len(known):
                found[metric.name] = Tally(round(values[0]), *values[1:])
        if (_CAPTURED, variant) in self.counts:
            found[COUNTED] = Tally(round(self.counts[_CAPTURED, variant].get(at, 0.0)))
        return found


@dataclass(frozen=True)
class OwnCounts:
    """Reads the metrics of one endpoint."""

    prometheus: Prometheus
    namespace: str
    endpoint: str

    def read(self, query: CountQuery, first: int, last: int) -> Observed:
        """The metrics of a query, in the windows from `first` to `last`, epoch seconds."""
        ours = tuple(name for metric in query.metrics if metric.namespace == OWN for name in _names(metric))
        if query.captured:
            ours = tuple(dict.fromkeys([*ours, _CAPTURED]))
        theirs = tuple(name for metric in query.metrics if metric.namespace != OWN for name in _names(metric))
        counts: dict[tuple[str, str], Mapping[int, float]] = {}
        if ours:
            counts.update(self._ours(query, ours, first, last))
        for name in theirs:
            counts.update(self._theirs(query, name, first, last))
        return Observed(query.metrics, counts)

    def _of(self, query: CountQuery, name: str, equal: Mapping[str, str], like: Mapping[str, str] | None = None) -> str:
        variants = {VARIANT: any_of(query.variants)}
        return matched(name, {**equal, ROLLOUT: query.rollout_id}, {**variants, **(like or {})})

    def _ours(
        self, query: CountQuery, names: tuple[str, ...], first: int, last: int
    ) -> dict[tuple[str, str], Mapping[int, float]]:
        """Totals that every replica exposes alike, so one value at each edge of a window is enough."""
        of = self._of(query, "", whose(self.namespace, self.endpoint), {"__name__": any_of(names)})
        width = query.seconds
        found: dict[tuple[str, str], Mapping[int, float]] = {}
        for item in self.prometheus.steps(f"max by (__name__, {VARIANT}) ({of})", first, last, width):
            told, rises, level = dict(item.points), dict[int, float](), 0.0
            for edge in range(first, last + 1, width):
                value = max(told.get(float(edge), level), level)
                if edge > first:
                    rises[edge - width] = value - level
                level = value
            found[item.labels["__name__"], item.labels[VARIANT]] = rises
        return found

    def _theirs(
        self, query: CountQuery, name: str, first: int, last: int
    ) -> Mapping[tuple[str, str], Mapping[int, float]]:
        """Counters that each process has of its own, summed, wherever they are exposed."""
        found: dict[tuple[str, str], dict[int, float]] = {}
        for item in self.prometheus.samples(self._of(query, name, {ENDPOINT: self.endpoint}), first - 60, last):
            rises = found.setdefault((name, item.labels[VARIANT]), defaultdict(float))
            before = 0.0  # a counter begins at 0, and again when its process restarts
            for at, value in item.points:
                rises[int(at // query.seconds) * query.seconds] += value if value < before else value - before
                before = value
        return found


def _names(metric: Metric) -> list[str]:
    base = series(metric.metric, metric.namespace)
    return [f"{base}{end}" for end in (_COUNT, _SUM, *((_SQUARES,) if metric.kind == "mean" else ()))]
