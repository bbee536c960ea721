"""The alarms on what users are promised: of all versions together, by how fast the error budget burns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pulumi
import pulumi_aws as aws

from infra.aws.alarm import told
from infra.plan import beyond_chance
from infra.plan.releases import ServingPlan
from monitoring.objectives.slo import SLIS, BurnRule, Objective, Severity, rules
from platforms.aws.metrics import slower_than
from platforms.aws.names import Names

SECTION = "the-error-budget-burns"
ALPHA = 0.05
"""How likely a service that keeps to its objective rings one of the alarms by chance in the whole of its window."""
_MOST = 3
"""Versions that are counted: an alarm reads ten metrics at most, and three of each version."""
_COUNTS = (("requests", "Invocations", "Sum"), ("failed", "Invocation5XXErrors", "Sum"), ("slow", "ModelLatency", ""))
_BAD = {"availability": "failed", "latency": "slow"}

Query = aws.cloudwatch.MetricAlarmMetricQueryArgs


class Slo(pulumi.ComponentResource):
    """The alarms on the service-level objective.

    Creates:
        Of each pair of windows an alarm on the long one and one on the short one, which tell nobody; and over them, one
        that pages and one that asks for a ticket, which tell the alerts topic once, however many of them ring.
    """

    def __init__(
        self,
        name: str,
        names: Names,
        *,
        plan: ServingPlan,
        objective: Objective,
        finest: int,
        silent: aws.cloudwatch.MetricAlarm | None,
        alerts: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the alarms.

        Args:
            name: The logical name.
            names: The stack's names.
            plan: Which releases are declared.
            objective: What users are promised.
            finest: The shortest period of the metrics, in seconds.
            silent: The alarm of the probe, which pages too; None without one.
            alerts: The ARN of the topic that is told.
            opts: Options of the component.
        """
        super().__init__("modelstack:index:Slo", name, None, opts)
        self._names, self._objective, self._alerts = names, objective, alerts
        self._variants = counted(plan)
        pairs = rules(objective, finest)
        self._nats = evidence(objective, pairs)
        burning = {rule.name: self._pair(rule) for rule in pairs}
        pages = [burning[rule.name] for rule in pairs if rule.severity == "page"]
        self._told("page", [*pages, *([[silent]] if silent else [])])
        self._told("ticket", [burning[rule.name] for rule in pairs if rule.severity == "ticket"])
        self.register_outputs({})

    def _pair(self, rule: BurnRule) -> list[aws.cloudwatch.MetricAlarm]:
        """The alarms on both windows of a rule."""
        return [self._window(rule, "long", rule.long_seconds), self._window(rule, "short", rule.short_seconds)]

    def _window(self, rule: BurnRule, which: str, seconds: int) -> aws.cloudwatch.MetricAlarm:
        measure = f"{rule.name}-{which}"
        return aws.cloudwatch.MetricAlarm(
            f"burn-{measure}",
            name=self._names.alarm("burn", measure),
            **told(
                f"Over {_span(seconds)} the error budget of all versions together burns more than {rule.factor:g} "
                "times as fast as the objective allows, by failures or by slow requests. It tells nobody by itself: "
                f"{self._names.alarm('slo', rule.severity)} does, when both windows ring.",
                rule.severity,
                SECTION,
            ),
            metric_queries=list(self._queries(seconds, guarded=which == "long")),
            comparison_operator="GreaterThanThreshold",
            threshold=rule.factor,
            evaluation_periods=1,
            datapoints_to_alarm=1,
            treat_missing_data="notBreaching",  # no request, nothing burns
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _queries(self, seconds: int, *, guarded: bool) -> Iterator[Query]:
        """The burn rate of the budget that burns faster; of a guarded window, only where chance cannot explain it."""
        for kind, metric, stat in _COUNTS:
            ids = [f"{kind}{number}" for number, _ in enumerate(self._variants, start=1)]
            for id_, variant in zip(ids, self._variants, strict=True):
                yield Query(
                    id=id_,
                    return_data=False,
                    metric=aws.cloudwatch.MetricAlarmMetricQueryMetricArgs(
                        namespace="AWS/SageMaker",
                        metric_name=metric,
                        dimensions={"EndpointName": self._names.endpoint, "VariantName": variant},
                        stat=stat or slower_than(self._objective.latency_ms),
                        period=seconds,
                    ),
                )
            yield Query(id=kind, expression=" + ".join(ids), label=kind, return_data=False)
        for sli in SLIS:
            tolerated = self._objective.tolerated(sli)
            rate = f"{_BAD[sli]} / requests / {beyond_chance.plain(tolerated)}"
            if guarded:
                beyond = beyond_chance.bound("requests", tolerated, self._nats)
                enough = f"requests >= {self._objective.min_requests} AND {_BAD[sli]} > {beyond}"
                rate = f"IF({enough}, {rate}, 0)"
            yield Query(id=sli, expression=rate, label=sli, return_data=False)
        yield Query(id="burn", expression=f"MAX([{', '.join(SLIS)}])", label="burn rate", return_data=True)

    def _told(self, severity: Severity, pairs: list[list[aws.cloudwatch.MetricAlarm]]) -> None:
        """The alarm that tells people once of all of its kind."""
        rung = [pulumi.Output.all(*(_rings(alarm) for alarm in pair)).apply(" AND ".join) for pair in pairs]
        what = {
            "page": "fast enough to wake somebody, or the endpoint is silent",
            "ticket": "steadily: it waits for the day",
        }[severity]
        aws.cloudwatch.CompositeAlarm(
            f"slo-{severity}",
            alarm_name=self._names.alarm("slo", severity),
            **told(f"What users were promised of {self._names.endpoint} is used up {what}.", severity, SECTION),
            alarm_rule=pulumi.Output.all(*rung).apply(lambda parts: " OR ".join(f"({part})" for part in parts)),
            alarm_actions=[self._alerts],
            opts=pulumi.ResourceOptions(parent=self),
        )


def counted(plan: ServingPlan) -> tuple[str, ...]:
    """The variants whose requests are counted: what serves, what is to serve, and what may yet get traffic.

    In an order that a promotion does not change, so that it changes no alarm.
    """
    first = {plan.serving: 0, plan.target: 1}
    ordered = sorted(plan.releases, key=lambda item: first.get(item.config_name, 2))
    return tuple(sorted(list(dict.fromkeys(item.variant for item in ordered))[:_MOST]))


def evidence(objective: Objective, pairs: Iterable[BurnRule]) -> float:
    """What the long windows need, in nats, so that none rings by chance in the objective's window but with ALPHA.

    By the union bound over all their looks, at failures and at slowness.
    """
    looks = sum(beyond_chance.looks_in(objective.window_seconds, rule.long_seconds) for rule in pairs)
    return beyond_chance.evidence(looks, ALPHA)


def _rings(alarm: aws.cloudwatch.MetricAlarm) -> pulumi.Output[str]:
    return alarm.name.apply('ALARM("{}")'.format)


def _span(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} seconds"
