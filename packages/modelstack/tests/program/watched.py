"""A CloudWatch in this process, with alarms as the program declares them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from localcloud.testing.cloudwatch import TOPIC, Datum, Local, running
from modelstack.platforms.aws.metrics import dimensions, place
from modelstack.rollout.core.catalogue import OWN
from tests.program.recorded import LOCAL

Alarm = dict[str, Any]
"""The inputs of an alarm, as the program declares them."""


class Watched:
    def __init__(self, local: Local) -> None:
        self.local = local

    def put(self, metric: str, value: float, variant: str = "", namespace: str = OWN) -> None:
        """A value of a metric of the endpoint, or of a variant."""
        self.put_of(place(LOCAL.endpoint, variant), namespace, metric, value)

    def put_of(self, of: dict[str, str], namespace: str, metric: str, value: float) -> None:
        self.local.service.put(namespace, [Datum(metric, of, value, "None", self.local.clock.now)])

    async def firing(self, seconds: float = 0) -> set[str]:
        """The alarms that fire some seconds later, by their short names."""
        if seconds:
            await self.local.advance(seconds)
        answer = await self.local("DescribeAlarms", AlarmTypes=["MetricAlarm", "CompositeAlarm"], StateValue="ALARM")
        return {LOCAL.short(item["AlarmName"]) for item in (*answer["MetricAlarms"], *answer["CompositeAlarms"])}

    async def state(self, subject: str, measure: str, seconds: float = 0) -> str:
        if seconds:
            await self.local.advance(seconds)
        return await self.local.state(LOCAL.alarm(subject, measure))

    def told(self) -> list[str]:
        return [subject for _, subject, *_ in self.local.mail.published]


def play(folder: Path, alarms: Iterable[Alarm], story: Callable[[Watched], Awaitable[None]]) -> None:
    """Run a story against a new CloudWatch with these alarms; those with an action notify a topic."""

    async def main() -> None:
        async with running(folder) as local:
            for inputs in alarms:
                name, actions = inputs.get("name"), [TOPIC] if inputs.get("alarmActions") else []
                if name is None:
                    name, rule = inputs["alarmName"], inputs["alarmRule"]
                    await local("PutCompositeAlarm", AlarmName=name, AlarmRule=rule, AlarmActions=actions)
                else:
                    await local("PutMetricAlarm", AlarmName=name, AlarmActions=actions, **as_put(inputs))
            await story(Watched(local))

    asyncio.run(main())


def as_put(inputs: Alarm) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "EvaluationPeriods": int(inputs["evaluationPeriods"]),
        "DatapointsToAlarm": int(inputs["datapointsToAlarm"]),
        "Threshold": inputs["threshold"],
        "ComparisonOperator": inputs["comparisonOperator"],
        "TreatMissingData": inputs["treatMissingData"],
    }
    if warm_up := inputs.get("warmUpConfiguration"):
        rule["WarmUpConfiguration"] = {"WarmUpPeriodDurationInMinutes": int(warm_up["warmUpPeriodDurationInMinutes"])}
    if "metricQueries" in inputs:
        return {**rule, "Metrics": [_query(query) for query in inputs["metricQueries"]]}
    return {**rule, **_metric(inputs), "Period": int(inputs["period"]), "Statistic": inputs["statistic"]}


def _query(query: dict[str, Any]) -> dict[str, Any]:
    asked = {"Id": query["id"], "ReturnData": query["returnData"]}
    if "expression" in query:
        return {**asked, "Expression": query["expression"]}
    metric = query["metric"]
    stat = {"Metric": _metric(metric), "Period": int(metric["period"]), "Stat": metric["stat"]}
    return {**asked, "MetricStat": stat}


def _metric(of: dict[str, Any]) -> dict[str, Any]:
    return {
        "Namespace": of["namespace"],
        "MetricName": of["metricName"],
        "Dimensions": dimensions(of["dimensions"]),
    }
