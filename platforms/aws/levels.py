"""`Alarms` on AWS: the alarms that a stack declares on how a variant answers, as CloudWatch has them now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from monitoring.alarms.alarm import Alarm, Measure
from monitoring.alarms.outage import alike
from platforms.aws.alarm_events import said
from platforms.aws.clients import Clients, calling
from platforms.aws.numbers import AlarmNumbers
from rollout.core.ringing import Ringing
from rollout.core.state import RolloutState
from services.declaration.alarm_names import FAILS, SLOW, alarm_name

_MEASURES: Mapping[str, Measure] = {FAILS: "errors", SLOW: "latency"}


@dataclass(frozen=True)
class CloudWatchAlarms:
    """`Alarms` over CloudWatch.

    Attributes:
        clients: Gives clients.
        endpoint: The endpoint.
        now: Tells the time, epoch seconds.
    """

    clients: Clients
    endpoint: str
    now: Callable[[], float] = time.time

    def ringing(self, state: RolloutState) -> tuple[Ringing, ...]:
        """DescribeAlarms of champion and challenger; an outage that both share is left to the judge."""
        variants = {release.variant for release in (state.champion, state.challenger) if release is not None}
        names = {
            alarm_name(self.endpoint, variant, measure): (variant, measure)
            for variant in sorted(variants)
            for measure in _MEASURES
        }
        with calling(f"describe the alarms of {', '.join(sorted(variants))}"):
            answer = self.clients("cloudwatch").describe_alarms(AlarmNames=list(names))
        in_alarm = [item for item in answer["MetricAlarms"] if item["StateValue"] == "ALARM"]
        found = [self._alarm(item, *names[item["AlarmName"]]) for item in in_alarm]
        read = AlarmNumbers(self.clients, self.endpoint).read
        return tuple(
            Ringing(alarm.variant, alarm.reason, alarm.at)
            for alarm in found
            if alarm.variant is not None and alarm.at is not None
            # As the numbers are now, not as they were when it began to ring.
            if alike(state, replace(alarm, at=max(alarm.at, self.now())), read) is None
        )

    def _alarm(self, item: Mapping[str, Any], variant: str, measure: str) -> Alarm:
        why = said(
            item.get("StateReason", ""),
            item.get("StateReasonData"),
            item.get("Threshold"),
            item.get("ComparisonOperator"),
        )
        since = item.get("StateTransitionedTimestamp") or item["StateUpdatedTimestamp"]
        return Alarm(
            name=item["AlarmName"], state="ALARM", said=why, at=since.timestamp(), endpoint=self.endpoint,
            variant=variant, metrics=(), measure=_MEASURES[measure],
        )  # fmt: skip
