"""The PromQL of a stack's dashboard. Pure.

Variants are found by label, so a new release changes no query. Variants' responses come from the recording rules. The
replicas of the controller expose the same measurements, so a panel takes their maximum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from modelstack.monitoring import published
from modelstack.monitoring.objectives.slo import OBJECTIVE, SLIS, Objective
from modelstack.platforms.kubernetes import metrics
from modelstack.platforms.kubernetes.alarm_rules import risen
from modelstack.platforms.kubernetes.metrics import any_of, matched, series, whose
from modelstack.platforms.kubernetes.objective_rules import COUNTS
from modelstack.platforms.kubernetes.promql import over
from modelstack.rollout.core.catalogue import INVALID, OWN
from modelstack.services.declaration import panels as declared
from modelstack.services.declaration.alarm_thresholds import plain
from modelstack.services.declaration.panels import CurveSpec, Panel, PanelSettings, PanelSpec, Query

WORKLOAD = "workload"  # the label of curves from Envoy: the workload, extracted from its cluster's name
GATEWAY = PanelSpec("Errors of the gateway itself", "answers")
BURN = PanelSpec("How fast the error budget burns", "times as fast as the objective allows")
FAILURES = PanelSpec("Work that fails, and releases whose drift cannot be measured", "times")
PROBE = PanelSpec("What the probe found", "1: a sound answer")
FIRING = PanelSpec("Alarms that fire", "1: it fires")
_AT_GATEWAY = "Latency at the gateway"


@dataclass(frozen=True)
class Panels:
    """Compiles the panels of one endpoint, with the time between two points and the range of a rate in PromQL."""

    namespace: str
    endpoint: str
    interval: str
    rate_interval: str

    def all(self, settings: PanelSettings) -> list[Panel]:
        """Every panel of the dashboard, in order."""
        objective = settings.objective
        return [
            *map(self._compiled, declared.service(settings)),
            Panel(GATEWAY, (Query(f"sum({self._sum('modelstack:gateway_own_errors:rise')})", "5XX"),)),
            *map(self._compiled, declared.model_input(settings)),
            *(self._promised(objective) if objective else ()),
            *map(self._compiled, declared.quality(settings)),
            *self._own(),
        ]

    def comparison(self, clusters: Sequence[str]) -> list[Panel]:
        """Panels that compare the variants behind clusters of Envoy."""
        served = {metrics.CLUSTER: any_of(tuple(clusters))}

        def counted(classes: str) -> str:
            selector = matched(metrics.REQUESTS, like={**served, metrics.CLASS: classes})
            return f"sum by ({metrics.CLUSTER}) (increase({selector}[{self.interval}]))"

        failing = f"100 * ({counted('[45]')} or 0 * {counted('[2-5]')}) / {counted('[2-5]')}"
        latency = replace(declared.COMPARED_LATENCY, title=_AT_GATEWAY)
        return [
            Panel(declared.COMPARED_REQUESTS, (Query(counted("[2-5]"), by=(metrics.VARIANT,)),)),
            Panel(declared.COMPARED_FAILURES, (Query(failing, by=(metrics.VARIANT,)),)),
            Panel(
                latency,
                tuple(Query(self._quantile(name, served), name, (metrics.VARIANT,)) for name in declared.QUANTILES),
            ),
        ]

    @property
    def _of(self) -> dict[str, str]:
        return whose(self.namespace, self.endpoint)

    @property
    def _served(self) -> dict[str, str]:
        return {metrics.CLUSTER: f"service/{self.namespace}/{self.endpoint}-[0-9a-f]{{12}}/.*"}

    def _compiled(self, spec: PanelSpec) -> Panel:
        title = _AT_GATEWAY if spec.curves[0].metric == declared.LATENCY else spec.title
        return Panel(replace(spec, title=title), tuple(map(self._query, spec.curves)))

    def _query(self, curve: CurveSpec) -> Query:
        if curve.metric == declared.LATENCY:
            return Query(_workload(self._quantile(curve.stat, self._served)), curve.label, (WORKLOAD,))
        if curve.metric == declared.REFUSED:
            refused, all_ = (
                _workload(
                    f"increase({matched(metrics.REQUESTS, like={**self._served, metrics.CLASS: classes})}"
                    f"[{self.interval}])"
                )
                for classes in ("4", "[2-5]")
            )
            rate = f"100 * sum by ({WORKLOAD}) ({refused}) / sum by ({WORKLOAD}) ({all_})"
            return Query(rate, curve.label, (WORKLOAD,))
        if curve.metric in {declared.REQUESTS, declared.FAILED}:
            text = f"sum by ({metrics.VARIANT}) ({self._sum(risen(curve.metric))})"
            if curve.stat == "share":
                text = f"100 * {text} / on () group_left () sum({text})"
            if curve.stat == "rate":
                text = f"100 * {text} / sum by ({metrics.VARIANT}) ({self._sum(risen(declared.REQUESTS))})"
        elif curve.metric == INVALID:
            text = self._born(f"{series(INVALID)}_sum", metrics.VARIANT, whole=f"{metrics.VARIANT}, rollout")
        elif curve.stat == "count":
            text = self._born(f"{series(curve.metric)}_total", ", ".join(curve.by))
        else:
            text = f"max by ({', '.join(curve.by)}) ({matched(series(curve.metric), self._of)})"
        return Query(text, curve.label, curve.by)

    def _promised(self, objective: Objective) -> list[Panel]:
        """The remaining error budgets and the burn rates."""
        left: list[Query] = []
        for sli in SLIS:
            part, whole = (
                f"sum({over(matched(risen(f'{OBJECTIVE}_{name}'), self._of), objective.window_seconds)})"
                for name in COUNTS[sli]
            )
            left.append(Query(f"100 * (1 - {part} / {whole} / {plain(objective.tolerated(sli))})", sli))
        burns = f'max by (__name__, sli) ({{__name__=~"{OWN}:burn:.*",{matched("", self._of)[1:-1]}}})'
        return [Panel(declared.budget(objective), tuple(left)), Panel(BURN, (Query(burns, by=("sli", "__name__")),))]

    def _own(self) -> list[Panel]:
        failures = self._born("modelstack_tick_failures_total", "work")
        unmeasured = self._born(f"{series(published.DRIFT_UNMEASURED)}_total", "")
        firing = f"max by (alertname) ({matched('ALERTS', {**self._of, 'alertstate': 'firing'})})"
        delay = f"max({matched(series(f'{published.DELAY}_seconds'), self._of)})"
        sound = f"max({matched(series(published.PROBE_SUCCESS), self._of)})"
        ago = f"(time() - max({matched(metrics.PROBED, self._of)})) / 60"
        return [
            Panel(FAILURES, (Query(failures, by=("work",)), Query(unmeasured, "drift"))),
            Panel(declared.LATE, (Query(delay, "most"),)),
            Panel(PROBE, (Query(sound, "sound"), Query(ago, "minutes since the last one"))),
            Panel(FIRING, (Query(firing, by=("alertname",)),)),
        ]

    def _quantile(self, name: str, served: dict[str, str]) -> str:
        buckets = f"rate({matched(metrics.LATENCY, like=served)}[{self.rate_interval}])"
        return f"histogram_quantile(0.{name[1:]}, sum by ({metrics.EDGE}, {metrics.CLUSTER}) ({buckets}))"

    def _sum(self, record: str) -> str:
        return f"sum_over_time({matched(record, self._of)}[{self.interval}])"

    def _born(self, name: str, by: str, *, whole: str = "") -> str:
        """The increase of our counter between two points; a new counter began at 0, and a restart shows nothing.

        Replicas of the controller expose the database's counts alike, but their own work separately: `whole` has the
        labels of the series, if they are more than those of the curves, `by`.
        """
        inner = f"max by ({whole or by}) ({matched(name, self._of)}"
        now, before = (f"sum by ({by}) ({inner}{ago}))" for ago in ("", f" offset {self.interval}"))
        return f"clamp_min({now} - ({before} or 0 * {now}), 0)"


def _workload(expression: str) -> str:
    return f'label_replace({expression}, "{WORKLOAD}", "$1", "{metrics.CLUSTER}", "service/[^/]+/([^/]+)/.*")'
