"""The alarms on what users are promised: of all versions together, by how fast the error budget burns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.aws.alarm import Query, declared, read, told
from infra.plan.releases import ServingPlan
from monitoring.objectives.slo import OBJECTIVE, SLIS, BurnRule, Objective, rules, still
from platforms.aws.evaluations import evaluations
from platforms.aws.metrics import FAILED, INVOCATIONS, LATENCY, SAGEMAKER, place, slower_than
from platforms.aws.names import Names
from services.declaration import alarm_thresholds
from services.declaration.alarm_names import BURN
from services.declaration.alarm_thresholds import bound, plain

SECTION = "the-error-budget-burns"
ALPHA = 0.05
"""How likely a service that keeps to its objective rings one of the alarms by chance in the whole of its window."""
_MOST = 3
"""Versions that are counted: an alarm reads ten metrics at most, and three of each version."""
_COUNTS = (("requests", INVOCATIONS, "Sum"), ("failed", FAILED, "Sum"), ("slow", LATENCY, ""))
_BAD = {"availability": "failed", "latency": "slow"}


class Slo:
    """The alarms on the service-level objective.

    Creates:
        Of each window that pages an alarm, and one of the short window, which tell nobody; over them one that pages,
        and tells the alerts topic once, however many of them ring; and one of the longest window that asks for a
        ticket.
    """

    def __init__(
        self,
        names: Names,
        *,
        plan: ServingPlan,
        objective: Objective,
        finest: int,
        silent: aws.cloudwatch.MetricAlarm | None,
        alerts: pulumi.Input[str],
        born: pulumi.Input[int],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Declare the alarms.

        Args:
            names: The stack's names.
            plan: Which releases are declared.
            objective: What users are promised.
            finest: The shortest period of the metrics, in seconds.
            silent: The alarm of the probe, which pages too; None without one.
            alerts: The ARN of the topic that is told.
            born: When the stack was made, epoch seconds.
            opts: Options of each alarm.
        """
        self._names, self._objective, self._opts, self._born = names, objective, opts, born
        self._variants = counted(plan)
        found = rules(objective, finest)
        self._nats = evidence(objective, found)
        burning = [self._window(rule, guarded=True) for rule in found if rule.severity == "page"]
        goes_on = self._window(still(found, finest), guarded=False)
        self._page(burning, goes_on, silent, alerts)
        (lasting,) = (rule for rule in found if rule.severity == "ticket")
        self._ticket(lasting, alerts)

    def _window(self, rule: BurnRule, *, guarded: bool) -> aws.cloudwatch.MetricAlarm:
        """An alarm on one window, which tells nobody by itself."""
        return self._alarm(
            BURN,
            rule.name,
            rule,
            f"{self._burns(rule)} It tells nobody by itself: {self._names.alarm(OBJECTIVE, rule.severity)} does, when "
            "a long window and the short one ring.",
            guarded=guarded,
            # A long window is one period: without what was measured before, a new stack would have none for as long.
            born=None if guarded else self._born,
        )

    def _ticket(self, rule: BurnRule, alerts: pulumi.Input[str]) -> None:
        self._alarm(
            OBJECTIVE,
            rule.severity,
            rule,
            f"What users were promised of {self._names.endpoint} is used up steadily: it waits for the day. "
            f"{self._burns(rule)}",
            guarded=True,
            born=self._born,
            alarm_actions=[alerts],
        )

    def _burns(self, rule: BurnRule) -> str:
        return (
            f"Over {_span(rule.seconds)} the error budget of all versions together burns more than {rule.factor:g} "
            "times as fast as the objective allows, by failures or by slow requests."
        )

    def _alarm(
        self, subject: str, measure: str, rule: BurnRule, text: str, *, guarded: bool, **more: Any
    ) -> aws.cloudwatch.MetricAlarm:
        return declared(
            self._names,
            subject,
            measure,
            text=text,
            severity=rule.severity,
            section=SECTION,
            missing="notBreaching",  # no request, nothing burns
            queries=list(self._queries(rule.seconds, guarded=guarded)),
            threshold=rule.factor,
            opts=self._opts,
            **more,
        )

    def _page(
        self,
        burning: list[aws.cloudwatch.MetricAlarm],
        goes_on: aws.cloudwatch.MetricAlarm,
        silent: aws.cloudwatch.MetricAlarm | None,
        alerts: pulumi.Input[str],
    ) -> None:
        """The alarm that pages once, whatever of its windows rings."""
        silence = [silent] if silent else []

        def rule(rings: list[str]) -> str:
            longs, rest = rings[: len(burning)], rings[len(burning) :]
            return " OR ".join([f"(({' OR '.join(longs)}) AND {rest[0]})", *rest[1:]])

        aws.cloudwatch.CompositeAlarm(
            f"{OBJECTIVE}-page",
            alarm_name=self._names.alarm(OBJECTIVE, "page"),
            **told(
                f"What users were promised of {self._names.endpoint} is used up fast enough to wake somebody, or the "
                "endpoint is silent.",
                "page",
                SECTION,
            ),
            alarm_rule=pulumi.Output.all(*(_rings(alarm) for alarm in (*burning, goes_on, *silence))).apply(rule),
            alarm_actions=[alerts],
            opts=self._opts,
        )

    def _queries(self, seconds: int, *, guarded: bool) -> Iterator[Query]:
        """The burn rate of the budget that burns faster; of a guarded window, only where chance cannot explain it.

        What is read of a version bears its name and comes last: another version adds queries and renames none.
        """
        for sli in SLIS:
            tolerated = self._objective.tolerated(sli)
            rate = f"{_BAD[sli]} / requests / {plain(tolerated)}"
            if guarded:
                above = bound("requests", tolerated, self._nats)
                enough = f"requests >= {self._objective.min_requests} AND {_BAD[sli]} > {above}"
                rate = f"IF({enough}, {rate}, 0)"
            yield Query(id=sli, expression=rate, label=sli, return_data=False)
        yield Query(id="burn", expression=f"MAX([{', '.join(SLIS)}])", label="burn rate", return_data=True)
        for kind, _, _ in _COUNTS:
            every = " + ".join(_read_of(kind, variant) for variant in self._variants)
            yield Query(id=kind, expression=every, label=kind, return_data=False)
        for variant in self._variants:
            of = place(self._names.endpoint, variant)
            for kind, metric, stat in _COUNTS:
                counts = stat or slower_than(self._objective.latency_ms)
                yield read(_read_of(kind, variant), SAGEMAKER, metric, of, stat=counts, period=seconds)


def _read_of(kind: str, variant: str) -> str:
    """The id of a query: letters, digits and underscores."""
    return re.sub(r"\W", "_", f"{kind}_{variant}")


def counted(plan: ServingPlan) -> tuple[str, ...]:
    """The variants whose requests are counted: what serves, what is to serve, and what may yet get traffic.

    In an order that a promotion does not change, so that it changes no alarm.
    """
    first = {plan.serving: 0, plan.target: 1}
    ordered = sorted(plan.releases, key=lambda item: first.get(item.config_name, 2))
    return tuple(sorted(list(dict.fromkeys(item.variant for item in ordered))[:_MOST]))


def evidence(objective: Objective, longs: Iterable[BurnRule]) -> float:
    """What the long windows need, in nats, so that none rings by chance in the objective's window but with ALPHA.

    By the union bound over all their looks, at failures and at slowness.
    """
    often = sum(evaluations(objective.window_seconds, rule.seconds) for rule in longs)
    return alarm_thresholds.evidence(often, ALPHA)


def _rings(alarm: aws.cloudwatch.MetricAlarm) -> pulumi.Output[str]:
    return alarm.name.apply('ALARM("{}")'.format)


def _span(seconds: int) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds} seconds"
