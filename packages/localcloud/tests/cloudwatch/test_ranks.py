"""Percentile ranks and trimmed statistics as clients and alarms ask for them."""

from __future__ import annotations

import pytest

from .test_metrics import at, stat, values

SHAPES = {
    "PR(:300)": 60, "PR(300:)": 40, "PR(100:300)": 40, "PR(:99)": 0, "PR(1000:)": 0, "PR(:1000)": 100,
    "TC(100:300)": 4, "TS(100:300)": 1000, "TM(100:300)": 250, "TM(:300)": 200,
    "tc80": 8, "ts80": 2000, "tm80": 250, "TS(80%:)": 900, "TC(10%:90%)": 8, "TM(20%:80%)": 300,
    "wm80": (100 * 2 + 200 * 2 + 300 * 2 + 400 * 4) / 10, "WM(150:350)": (150 * 2 + 200 * 2 + 300 * 2 + 350 * 4) / 10,
    "IQM": (200 * 1.5 + 300 * 2 + 400 * 1.5) / 5,
}  # fmt: skip
"""Of 100, 100, 200, 200, 300, 300, 400, 400, 400, 500, by hand: a lower bound is exclusive, an upper one inclusive."""


async def put_shapes(local):
    datum = {"MetricName": "errors", "Values": [100.0, 200.0, 300.0, 400.0, 500.0], "Counts": [2.0, 2.0, 2.0, 3.0, 1.0]}
    await local("PutMetricData", Namespace="test", MetricData=[datum])


def test_ranks_and_trimmed_statistics_are_as_aws_defines_them_in_both_reads(tell):
    async def story(local):
        await put_shapes(local)
        read = await values(local, *(stat(f"q{number}", name) for number, name in enumerate(SHAPES)))
        assert {name: found for name, (found,) in zip(SHAPES, read, strict=True)} == pytest.approx(SHAPES)
        for name, expected in SHAPES.items():
            answer = await local(
                "GetMetricStatistics",
                Namespace="test",
                MetricName="errors",
                StartTime=at(local.clock.now - 60),
                EndTime=at(local.clock.now + 60),
                Period=60,
                ExtendedStatistics=[name],
            )
            (point,) = answer["Datapoints"]
            assert point["ExtendedStatistics"] == {name: pytest.approx(expected)}

    tell(story)


def test_how_many_were_slower_than_a_pivot_is_metric_math_on_a_rank(tell):
    async def story(local):
        await put_shapes(local)
        hidden = [{**stat("n", "SampleCount"), "ReturnData": False}, {**stat("r", "PR(:300)"), "ReturnData": False}]
        assert await values(local, *hidden, {"Id": "slower", "Expression": "n * (1 - r / 100)"}) == [[4]]

    tell(story)


@pytest.mark.parametrize("name", SHAPES)
def test_statistic_sets_give_ranks_and_trimmed_statistics_only_when_all_their_values_are_the_same(tell, name):
    async def story(local):
        same = {"SampleCount": 10.0, "Sum": 1500.0, "Minimum": 150.0, "Maximum": 150.0}
        await local("PutMetricData", Namespace="test", MetricData=[{"MetricName": "errors", "StatisticValues": same}])
        expected = await values(local, stat("a", name))
        await local("PutMetricData", Namespace="test", MetricData=[
            {"MetricName": "values", "Values": [150.0], "Counts": [10.0]},
        ])  # fmt: skip
        other = stat("b", name)
        other["MetricStat"]["Metric"] = {**other["MetricStat"]["Metric"], "MetricName": "values"}
        assert await values(local, other) == expected
        mixed = {"SampleCount": 2.0, "Sum": 300.0, "Minimum": 100.0, "Maximum": 200.0}
        await local("PutMetricData", Namespace="test", MetricData=[{"MetricName": "errors", "StatisticValues": mixed}])
        assert await values(local, stat("a", name)) == [[]]

    tell(story)


@pytest.mark.parametrize(
    ("statistic", "threshold"), [("PR(300:)", 4.9), ("TC(300:)", 4.9), ("tm99", 12), ("WM(:300)", 12), ("ts100", 6400)]
)
def test_an_alarm_on_a_rank_or_a_trimmed_statistic_sees_the_slow_few(tell, statistic, threshold):
    async def story(local):
        await local.alarm(
            MetricName="latency", Statistic=None, ExtendedStatistic=statistic, Threshold=threshold,
            TreatMissingData="ignore",
        )  # fmt: skip
        for number in range(100):
            local.put(300 if number >= 95 else 10, "latency")
        await local.advance(11)
        assert await local.state() == ("ALARM" if statistic in {"tm99", "WM(:300)"} else "OK")
        for number in range(100):
            local.put(1300 if number >= 95 else 10, "latency")
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)
