"""What can be said of alarms: defined, refused, described, tagged, deleted, kept through a restart."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError

from .conftest import ARN, FUNCTION, SINGLE, TOPIC, math


def test_a_redefined_alarm_keeps_its_state_and_is_evaluated_at_once(tell):
    async def story(local):
        await local.alarm(Tags=[{"Key": "a", "Value": "1"}])
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"
        await local.alarm(Threshold=10.0, Tags=[{"Key": "b", "Value": "2"}])
        assert await local.state() == "ALARM"
        await local.settle()
        assert await local.state() == "OK"
        tags = await local("ListTagsForResource", ResourceARN=ARN)
        assert tags["Tags"] == [{"Key": "a", "Value": "1"}]

    tell(story)


def test_alarms_states_and_tags_survive_a_restart(start):
    async def main():
        async with start() as local:
            await local.alarm(AlarmActions=[FUNCTION], Tags=[{"Key": "a", "Value": "1"}])
            local.put(5)
            await local.advance(11)
            before = await local.describe()
            clock = local.clock
        async with start(clock) as local:
            assert await local.describe() == before
            assert (await local("ListTagsForResource", ResourceARN=ARN))["Tags"] == [{"Key": "a", "Value": "1"}]
            await local.advance(1)
            assert await local.state() == "ALARM"
            assert local.mail.invoked == []
            await local.advance(60)
            assert await local.state() == "INSUFFICIENT_DATA"

    asyncio.run(main())


def test_describe_alarms_filters_and_pages(tell):
    async def story(local):
        for number in range(7):
            await local.alarm(f"a{number}", AlarmActions=[FUNCTION] if number < 2 else [])
        await local.alarm("b", TreatMissingData="notBreaching")
        await local.settle()

        async def names(**filters: Any) -> list[str]:
            return [alarm["AlarmName"] for alarm in (await local("DescribeAlarms", **filters))["MetricAlarms"]]

        assert await names(AlarmNamePrefix="a") == [f"a{number}" for number in range(7)]
        assert await names(StateValue="OK") == ["b"]
        assert await names(ActionPrefix="arn:aws:lambda") == ["a0", "a1"]
        assert await names(AlarmNames=["b", "a3", "unknown"]) == ["a3", "b"]
        first = await local("DescribeAlarms", MaxRecords=5)
        assert len(first["MetricAlarms"]) == 5
        assert await names(MaxRecords=5, NextToken=first["NextToken"]) == ["a5", "a6", "b"]

    tell(story)


def test_describe_alarms_for_metric_asks_for_the_very_dimensions(tell):
    async def story(local):
        await local.alarm("none")
        await local.alarm("a", Dimensions=[{"Name": "Variant", "Value": "a"}])
        await local.alarm("math", **SINGLE, Metrics=math("errors * 2", "errors", Variant="a"))

        async def names(**metric: Any) -> list[str]:
            answer = await local("DescribeAlarmsForMetric", Namespace="test", MetricName="errors", **metric)
            return [alarm["AlarmName"] for alarm in answer["MetricAlarms"]]

        variant = [{"Name": "Variant", "Value": "a"}]
        assert await names() == ["none"]
        assert await names(Dimensions=variant) == ["a", "math"]
        assert await names(Dimensions=variant, Statistic="Average") == []
        assert await names(Period=60) == []

    tell(story)


def test_alarms_are_deleted_though_others_of_the_request_do_not_exist(tell):
    async def story(local):
        await local.alarm()
        with pytest.raises(ClientError, match=r"ResourceNotFound.*unknown"):
            await local("DeleteAlarms", AlarmNames=["unknown", "alarm"])
        assert (await local("DescribeAlarms"))["MetricAlarms"] == []
        await local.advance(60)

    tell(story)


def test_tags_are_added_and_taken_away(tell):
    async def story(local):
        await local.alarm()
        await local("TagResource", ResourceARN=ARN, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
        await local("UntagResource", ResourceARN=ARN, TagKeys=["a", "c"])
        assert (await local("ListTagsForResource", ResourceARN=ARN))["Tags"] == [{"Key": "b", "Value": "2"}]
        with pytest.raises(ClientError, match="aws:"):
            await local("TagResource", ResourceARN=ARN, Tags=[{"Key": "aws:x", "Value": "1"}])

    tell(story)


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"Period": 45}, "ValidationError", "Period 45 is not"),
        ({"Period": 5}, "ValidationError", "Period 5 is not 10, 20, 30 or a multiple of 60"),
        ({"Period": 60, "EvaluationPeriods": 1441}, "ValidationError", "at most 86400 s"),
        ({"Period": 3600, "EvaluationPeriods": 169}, "ValidationError", "at most 604800 s"),
        ({"DatapointsToAlarm": 2}, "ValidationError", "DatapointsToAlarm 2 is more than EvaluationPeriods 1"),
        ({"TreatMissingData": "zero"}, "ValidationError", "missing, ignore, breaching, notBreaching"),
        ({"Statistic": None}, "InvalidParameterCombination", "either Statistic or ExtendedStatistic"),
        ({"ExtendedStatistic": "p9"}, "InvalidParameterCombination", "either Statistic or ExtendedStatistic"),
        ({"Statistic": None, "ExtendedStatistic": "p0.0.1"}, "ValidationError", "there is no statistic"),
        ({"Threshold": None}, "MissingParameter", "Threshold"),
        ({"Namespace": None}, "MissingParameter", "Namespace"),
        ({"MetricName": None}, "ValidationError", "exactly one of MetricName and Metrics"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "ValidationError", "anomaly detection"),
        ({"ComparisonOperator": "Above"}, "ValidationError", "enum value set"),
        ({"ThresholdMetricId": "ad"}, "ValidationError", "anomaly detection"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "ValidationError", "only for alarms on a percentile"),
        ({"AlarmActions": ["arn:aws:automate:us-east-1:ec2:stop"]}, "ValidationError", "SNS topics and Lambda"),
        ({"AlarmActions": [f"{TOPIC}{n}" for n in range(6)]}, "ValidationError", "less than or equal to 5"),
        ({"Unit": "Parsecs"}, "ValidationError", "enum value set"),
        ({"Metrics": math("errors", "errors")}, "ValidationError", "exactly one of MetricName and Metrics"),
        ({**SINGLE, "Metrics": math("errors + ", "errors")}, "ValidationError", "cannot be read"),
        ({**SINGLE, "Metrics": math("METRICS()", "errors")}, "ValidationError", "one time series"),
        ({**SINGLE, "Metrics": math("SUM(errors)", "errors")}, "ValidationError", "one time series"),
        ({**SINGLE, "Metrics": math("NOPE(errors)", "errors")}, "ValidationError", "has no function"),
        ({**SINGLE, "Metrics": math("TIME_SERIES(1)")}, "ValidationError", "same period"),
        ({**SINGLE, "Metrics": math("errors", "errors")[1:]}, "ValidationError", "exactly one query"),
        ({**SINGLE, "Metrics": [*math("errors + b", "errors"), {**math("", "b", period=60)[1]}]}, "ValidationError",
         "must have the same period"),
        ({**SINGLE, "Namespace": "test", "Metrics": math("errors", "errors")}, "InvalidParameterCombination",
         "cannot be given together with Metrics"),
        ({"Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}, "ValidationError", "twice"),
    ],
)  # fmt: skip
def test_an_alarm_that_makes_no_sense_is_refused_with_its_reason(tell, changes, code, message):
    async def story(local):
        with pytest.raises(ClientError, match=f"{code}.*{message}"):
            await local.alarm(**changes)
        assert (await local("DescribeAlarms"))["MetricAlarms"] == []

    tell(story)
