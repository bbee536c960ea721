"""`Alarms` on AWS: the declared alarms on the responses of variants, by their state in CloudWatch."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.monitoring.alarms.alarm import Alarm
from modelstack.platforms.aws.alarm_events import reason
from modelstack.platforms.aws.clients import Clients, calling
from modelstack.services.alarms import MEASURES
from modelstack.services.counters import FiringAlarm, ShareRule
from modelstack.services.declaration.alarm_names import alarm_name

_MINUTE, _OFTEN = 60, 10  # seconds between two evaluations, at periods from a minute, and at shorter ones
_OLDER = 2  # periods beyond those of an alarm: it evaluates those when the newest are still missing
_SLOWER = re.compile(r"TC\((\d+):\)")


@dataclass(frozen=True)
class CloudWatchAlarms:
    """`Alarms` over CloudWatch."""

    clients: Clients
    endpoint: str
    now: Callable[[], float] = time.time

    def firing(self, variants: Collection[str]) -> list[FiringAlarm]:
        """See `Alarms`. Evaluated now: their counts are not those of when they began to fire."""
        names = {
            alarm_name(self.endpoint, variant, measure): (variant, measure)
            for variant in variants
            for measure in MEASURES
        }
        described = self._described(names)
        return [
            FiringAlarm(self._alarm(item, *names[item["AlarmName"]]), self.now())
            for item in described
            if item["StateValue"] == "ALARM"
        ]

    def rules(self, names: Collection[str]) -> dict[str, ShareRule]:
        found = {item["AlarmName"]: _rule(item) for item in self._described(names)}
        return {name: rule for name, rule in found.items() if rule is not None}

    def _described(self, names: Collection[str]) -> list[dict[str, Any]]:
        with calling(f"describe the alarms {', '.join(names)}"):
            return self.clients("cloudwatch").describe_alarms(AlarmNames=list(names))["MetricAlarms"]

    def _alarm(self, item: Mapping[str, Any], variant: str, measure: str) -> Alarm:
        since = item.get("StateTransitionedTimestamp") or item["StateUpdatedTimestamp"]
        return Alarm(
            name=item["AlarmName"], state="ALARM", said=reason(item), at=since.timestamp(), endpoint=self.endpoint,
            variant=variant, metrics=(), measure=MEASURES[measure],
        )  # fmt: skip


def _rule(alarm: Mapping[str, Any]) -> ShareRule | None:
    """None if it is no alarm on the share of `part` in `whole`."""
    queries = {item["Id"]: item["MetricStat"] for item in alarm.get("Metrics", []) if "MetricStat" in item}
    if queries.keys() != {"part", "whole"}:
        return None
    period, slower = queries["whole"]["Period"], _SLOWER.fullmatch(queries["part"]["Stat"])
    return ShareRule(
        tolerated=alarm["Threshold"],
        # CloudWatch's periods overlap where they are longer than the step; counts of shorter ones can be added.
        seconds=period * (alarm["EvaluationPeriods"] + _OLDER),
        step=_OFTEN if period < _MINUTE else _MINUTE,
        slower_than=float(slower[1]) if slower else None,
        fires=alarm["StateValue"] == "ALARM",
    )
