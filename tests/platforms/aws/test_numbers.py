"""What stands behind an alarm: which counts, of which periods. The real service answers in tests/conformance."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from monitoring.alarms.alarm import Alarm
from monitoring.alarms.alike import Numbers
from platforms.aws.numbers import AlarmNumbers
from rollout.core.failing import Counted

END = 1_767_614_400  # on every grid
ALARM = Alarm("x-v-b-p99", "ALARM", "slow", END + 4.0, "endpoint", "v-b", ("AWS/SageMaker/ModelLatency",), "latency")


class CloudWatch:
    """Two alarms, and counts: (variant, statistic) -> begin of the period -> value."""

    def __init__(self, period: int, periods: int, counts: dict[tuple[str, str], dict[int, float]]) -> None:
        stats = {"part": "TC(250000:)", "whole": "SampleCount"}
        queries = [
            {"Id": key, "MetricStat": {"Metric": {"MetricName": "ModelLatency"}, "Period": period, "Stat": stat}}
            for key, stat in stats.items()
        ]
        alarm = {"Metrics": [*queries, {"Id": "rate"}], "Threshold": 0.01, "EvaluationPeriods": periods}
        self.alarms: dict[str, dict[str, Any]] = {
            "x-v-b-p99": {**alarm, "StateValue": "ALARM"}, "x-v-a-p99": {**alarm, "StateValue": "OK"}
        }  # fmt: skip
        self.counts = counts
        self.asked: list[dict[str, Any]] = []

    def describe_alarms(self, AlarmNames: list[str]) -> dict[str, Any]:
        return {
            "MetricAlarms": [{"AlarmName": name, **self.alarms[name]} for name in AlarmNames if name in self.alarms]
        }

    def get_metric_data(self, MetricDataQueries: list[dict[str, Any]], **times: Any) -> dict[str, Any]:
        self.asked.append({**times, "period": {item["MetricStat"]["Period"] for item in MetricDataQueries}})
        first, last = (int(times[name].timestamp()) for name in ("StartTime", "EndTime"))
        found: list[dict[str, Any]] = []
        for item in MetricDataQueries:
            places = {place["Name"]: place["Value"] for place in item["MetricStat"]["Metric"]["Dimensions"]}
            of = self.counts.get((places["VariantName"], item["MetricStat"]["Stat"]), {})
            shown = {at: value for at, value in of.items() if first <= at < last}
            stamps = [datetime.fromtimestamp(at, UTC) for at in shown]
            found.append({"Id": item["Id"], "Timestamps": stamps, "Values": list(shown.values())})
        return {"MetricDataResults": found}


def read(cloudwatch: CloudWatch, alarm: Alarm = ALARM) -> Numbers | None:
    return AlarmNumbers(lambda _: cloudwatch, "endpoint").read(alarm, "v-a")


def test_both_are_counted_in_the_periods_in_which_the_challenger_was_bad() -> None:
    slow, every = "TC(250000:)", "SampleCount"
    cloudwatch = CloudWatch(60, 3, {
        ("v-b", every): {END - 180: 10, END - 120: 10, END - 60: 10, END: 10},
        ("v-b", slow): {END - 180: 0, END - 120: 4, END - 60: 5, END: 10},
        ("v-a", every): {END - 180: 90, END - 120: 90, END - 60: 90, END: 90},
        ("v-a", slow): {END - 180: 90, END - 120: 30, END - 60: 40, END: 90},
    })  # fmt: skip
    assert read(cloudwatch) == Numbers(0.01, Counted(9, 20), Counted(70, 180), champion_rings=False)
    cloudwatch.alarms["x-v-a-p99"]["StateValue"] = "ALARM"
    assert read(cloudwatch) == Numbers(0.01, Counted(9, 20), Counted(70, 180), champion_rings=True)


@pytest.mark.parametrize(("period", "step"), [(10, 10), (30, 10), (60, 60), (300, 60)])
def test_periods_that_overlap_are_read_at_the_grain_at_which_cloudwatch_looks(period: int, step: int) -> None:
    cloudwatch = CloudWatch(period, 3, {})
    read(cloudwatch)
    (asked,) = cloudwatch.asked
    assert asked["period"] == {step}
    assert (asked["EndTime"] - asked["StartTime"]).total_seconds() == 5 * period
    assert asked["EndTime"].timestamp() == END


def test_an_alarm_of_another_form_or_without_counterpart_or_time_is_not_compared() -> None:
    other = CloudWatch(60, 3, {})
    other.alarms["x-v-b-p99"]["Metrics"] = []
    alone = CloudWatch(60, 3, {})
    del alone.alarms["x-v-a-p99"]
    assert read(other) is None
    assert read(alone) is None
    assert read(CloudWatch(60, 3, {}), replace(ALARM, name="somebody's")) is None
    assert read(CloudWatch(60, 3, {}), replace(ALARM, at=None)) is None


def test_an_alarm_that_was_set_by_hand_has_nothing_behind_it() -> None:
    assert read(CloudWatch(60, 3, {})) == Numbers(0.01, Counted(0, 0), Counted(0, 0), champion_rings=False)
