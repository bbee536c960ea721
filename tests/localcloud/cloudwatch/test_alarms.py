"""Alarms as they live: on a clock, with data that come and stay away, with actions and history."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch.evaluation import Verdict

TOPIC = "arn:aws:sns:us-east-1:123456789012:alerts"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:rollback"
ARN = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:alarm"


def math(expression: str, *metrics: str, period: int = 10, **dimensions: str) -> list[dict[str, Any]]:
    pairs = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return [
        {"Id": "watched", "Expression": expression},
        *(
            {
                "Id": metric,
                "ReturnData": False,
                "MetricStat": {
                    "Metric": {"Namespace": "test", "MetricName": metric, "Dimensions": pairs},
                    "Period": period,
                    "Stat": "Sum",
                },
            }
            for metric in metrics
        ),
    ]


SINGLE = dict.fromkeys(["Namespace", "MetricName", "Statistic", "Period"])


def test_a_breach_is_acted_on_within_two_periods(tell):
    async def story(local):
        await local.alarm(AlarmActions=[FUNCTION])
        await local.advance(10.6)
        local.put(5)
        breached = local.clock.now
        while not local.mail.invoked:
            await local.advance(0.1)
        assert local.clock.now - breached < 2 * 10
        assert local.clock.now - breached <= 10 + 0.1

    tell(story)


def test_a_new_alarm_is_insufficient_data_until_it_is_evaluated(tell):
    async def story(local):
        await local.alarm(TreatMissingData="notBreaching")
        assert (await local.describe())["StateReason"] == "Unchecked: Initial alarm creation"
        await local.settle()
        assert await local.state() == "OK"
        assert await local.history() == ['Alarm "alarm" created', "Alarm updated from INSUFFICIENT_DATA to OK"]

    tell(story)


def test_other_dimensions_never_trip_an_alarm(tell):
    async def story(local):
        dimensions = [{"Name": "Variant", "Value": "a"}]
        await local.alarm(Dimensions=dimensions, TreatMissingData="notBreaching")
        await local.settle()
        local.put(100)
        local.put(100, Variant="b")
        local.put(100, Variant="a", Endpoint="e")
        local.put(100, "other", Variant="a")
        await local.advance(30)
        assert await local.state() == "OK"
        local.put(100, Variant="a")
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_an_alarm_ages_out_to_insufficient_data_when_data_stop(tell):
    async def story(local):
        await local.alarm()
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"
        await local.advance(20)  # the evaluation range is three periods
        assert await local.state() == "ALARM"
        await local.advance(10)
        assert await local.state() == "INSUFFICIENT_DATA"
        assert (await local.describe())["StateReason"] == "Insufficient Data: 1 datapoint was unknown."

    tell(story)


@pytest.mark.parametrize(("missing", "state"), [("breaching", "ALARM"), ("notBreaching", "OK"), ("ignore", "ALARM")])
def test_what_stops_is_treated_as_the_alarm_says(tell, missing, state):
    async def story(local):
        await local.alarm(TreatMissingData=missing)
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"
        await local.advance(60)
        assert await local.state() == state

    tell(story)


def test_m_of_n_needs_m_breaching_periods(tell):
    async def story(local):
        await local.alarm(EvaluationPeriods=3, DatapointsToAlarm=2, TreatMissingData="notBreaching")
        local.put(5)
        await local.advance(10)
        local.put(0)
        await local.advance(10)
        assert await local.state() == "OK"
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_standard_alarms_are_evaluated_every_minute_on_sliding_periods(tell):
    async def story(local):
        await local.alarm(Period=300, TreatMissingData="notBreaching")
        await local.settle()
        local.clock.now += 70
        local.put(5)
        await local.advance(51)
        assert await local.state() == "ALARM"
        data = json.loads((await local.describe())["StateReasonData"])
        assert data["startDate"] == "2025-11-24T15:57:00.000+0000"

    tell(story)


def test_data_that_come_late_are_looked_at_at_once(tell):
    async def story(local):
        await local.alarm(Period=60, TreatMissingData="notBreaching")
        await local.advance(63)
        assert await local.state() == "OK"
        local.put(5, ago=5)
        local.service._store.fold()
        await local.advance(0.6)
        assert await local.state() == "ALARM"

    tell(story)


def test_data_of_the_running_period_do_not_wake_the_evaluator(tell):
    async def story(local):
        await local.alarm(Period=60, TreatMissingData="notBreaching")
        await local.advance(63)
        due = dict(local.service._evaluator._due)
        local.put(5)
        local.service._store.fold()
        assert local.service._evaluator._due == due

    tell(story)


def test_an_alarm_on_a_percentile_sees_the_slow_few(tell):
    async def story(local):
        await local.alarm(
            MetricName="latency", Statistic=None, ExtendedStatistic="p99", Threshold=1000.0, TreatMissingData="ignore"
        )
        for number in range(100):
            local.put(5000 if number >= 98 else 10, "latency")
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_a_percentile_of_few_samples_is_left_alone_when_asked(tell):
    async def story(local):
        base = {"MetricName": "latency", "Statistic": None, "ExtendedStatistic": "p90", "Threshold": 1000.0}
        await local.alarm("ignore", **base, EvaluateLowSampleCountPercentile="ignore")
        await local.alarm("evaluate", **base, EvaluateLowSampleCountPercentile="evaluate")
        for _ in range(99):
            local.put(5000, "latency")
        await local.advance(11)
        assert [await local.state(name) for name in ("ignore", "evaluate")] == ["INSUFFICIENT_DATA", "ALARM"]
        for _ in range(100):
            local.put(5000, "latency")
        await local.advance(11)
        assert await local.state("ignore") == "ALARM"

    tell(story)


def test_an_alarm_on_a_rate_has_no_data_without_traffic(tell):
    async def story(local):
        await local.alarm(
            **SINGLE, Metrics=math("errors / requests", "errors", "requests", Variant="a"), Threshold=0.05,
            TreatMissingData="ignore",
        )  # fmt: skip
        local.put(100, "requests", Variant="a")
        local.put(100, "errors", Variant="b")
        await local.advance(11)
        assert await local.state() == "OK"
        local.put(50, "requests", Variant="a")
        local.put(25, "errors", Variant="a")
        await local.advance(10)
        assert await local.state() == "ALARM"
        await local.advance(60)
        assert await local.state() == "ALARM"

    tell(story)


def test_fill_makes_missing_data_a_value(tell):
    async def story(local):
        await local.alarm(**SINGLE, Metrics=math("FILL(errors, 9)", "errors"))
        await local.advance(11)
        assert await local.state() == "ALARM"

    tell(story)


def test_alarms_on_dynamodb_always_ignore_missing_data(tell):
    async def story(local):
        await local.alarm(Namespace="AWS/DynamoDB", TreatMissingData="breaching")
        await local.advance(60)
        assert await local.state() == "INSUFFICIENT_DATA"

    tell(story)


def test_the_message_to_a_topic_has_the_form_of_aws(tell):
    async def story(local):
        await local.alarm(
            AlarmDescription="too many",
            AlarmActions=[TOPIC],
            Dimensions=[{"Name": "Variant", "Value": "a"}],
            TreatMissingData="notBreaching",
            DatapointsToAlarm=1,
        )
        await local.settle()
        local.put(5, Variant="a")
        await local.advance(11)
        ((topic, subject, text, principal, source),) = local.mail.published
        assert (topic, principal, source) == (TOPIC, "cloudwatch.amazonaws.com", ARN)
        assert subject == 'ALARM: "alarm" in US East (N. Virginia)'
        message = json.loads(text)
        reason = (
            "Threshold Crossed: 1 out of the last 1 datapoints [5.0 (24/11/25 16:00:00)] was greater than the "
            "threshold (1.0) (minimum 1 datapoint for OK -> ALARM transition)."
        )
        assert message == {
            "AlarmName": "alarm",
            "AlarmDescription": "too many",
            "AWSAccountId": "123456789012",
            "AlarmConfigurationUpdatedTimestamp": "2025-11-24T16:00:00.000+0000",
            "NewStateValue": "ALARM",
            "NewStateReason": reason,
            "StateChangeTime": "2025-11-24T16:00:10.500+0000",
            "Region": "US East (N. Virginia)",
            "AlarmArn": ARN,
            "OldStateValue": "OK",
            "OKActions": [],
            "AlarmActions": [TOPIC],
            "InsufficientDataActions": [],
            "Trigger": {
                "MetricName": "errors",
                "Namespace": "test",
                "StatisticType": "Statistic",
                "Statistic": "SUM",
                "Unit": None,
                "Dimensions": [{"value": "a", "name": "Variant"}],
                "Period": 10,
                "EvaluationPeriods": 1,
                "DatapointsToAlarm": 1,
                "ComparisonOperator": "GreaterThanThreshold",
                "Threshold": 1.0,
                "TreatMissingData": "notBreaching",
                "EvaluateLowSampleCountPercentile": "",
            },
        }

    tell(story)


def test_the_event_of_a_function_has_the_documented_form(tell):
    async def story(local):
        await local.alarm(
            **SINGLE, Metrics=math("errors / requests", "errors", "requests", Variant="a"), Threshold=0.05,
            AlarmActions=[FUNCTION], AlarmDescription="rate",
        )  # fmt: skip
        local.put(10, "errors", Variant="a")
        local.put(10, "requests", Variant="a")
        await local.advance(11)
        ((function, event, principal, source),) = local.mail.invoked
        assert (function, principal, source) == (FUNCTION, "lambda.alarms.cloudwatch.amazonaws.com", ARN)
        data = event["alarmData"]
        assert {name: value for name, value in event.items() if name != "alarmData"} == {
            "source": "aws.cloudwatch",
            "alarmArn": ARN,
            "accountId": "123456789012",
            "time": "2025-11-24T16:00:10.500+0000",
            "region": "us-east-1",
        }
        assert (data["alarmName"], data["state"]["value"]) == ("alarm", "ALARM")
        assert data["previousState"] == {
            "value": "INSUFFICIENT_DATA",
            "reason": "Unchecked: Initial alarm creation",
            "timestamp": "2025-11-24T16:00:00.000+0000",
        }
        assert json.loads(data["state"]["reasonData"])["recentDatapoints"] == [1.0]
        assert data["configuration"]["description"] == "rate"
        assert data["configuration"]["metrics"][:2] == [
            {"id": "watched", "expression": "errors / requests", "returnData": True},
            {
                "id": "errors",
                "metricStat": {
                    "metric": {"namespace": "test", "name": "errors", "dimensions": {"Variant": "a"}},
                    "period": 10,
                    "stat": "Sum",
                },
                "returnData": False,
            },
        ]

    tell(story)


def test_events_tell_of_definition_and_of_each_change_of_state(tell):
    async def story(local):
        await local.alarm(TreatMissingData="notBreaching")
        await local.settle()
        local.put(5)
        await local.advance(11)
        await local("DeleteAlarms", AlarmNames=["alarm"])
        await local.settle()
        told = [
            (kind, detail.get("operation") or (detail["previousState"]["value"], detail["state"]["value"]))
            for source, kind, detail, resources in local.mail.events
            if source == "aws.cloudwatch" and resources == [ARN]
        ]
        told.sort(key=str)
        assert told == [
            ("CloudWatch Alarm Configuration Change", "create"),
            ("CloudWatch Alarm Configuration Change", "delete"),
            ("CloudWatch Alarm State Change", ("INSUFFICIENT_DATA", "OK")),
            ("CloudWatch Alarm State Change", ("OK", "ALARM")),
        ]

    tell(story)


def test_actions_follow_the_state_and_only_its_changes(tell):
    async def story(local):
        actions = {"OKActions": [TOPIC + "-ok"], "AlarmActions": [TOPIC + "-alarm"]}
        await local.alarm(**actions, InsufficientDataActions=[TOPIC + "-none"], TreatMissingData="missing")
        for _ in range(3):
            local.put(5)
            await local.advance(10)
        local.put(0)
        await local.advance(50)
        assert [topic.rpartition("-")[2] for topic, *_ in local.mail.published] == ["alarm", "ok", "none"]

    tell(story)


def test_no_actions_while_they_are_disabled(tell):
    async def story(local):
        await local.alarm(AlarmActions=[FUNCTION])
        await local("DisableAlarmActions", AlarmNames=["alarm", "unknown"])
        assert (await local.describe())["ActionsEnabled"] is False
        local.put(5)
        await local.advance(11)
        assert await local.state() == "ALARM"
        assert local.mail.invoked == []
        await local("EnableAlarmActions", AlarmNames=["alarm"])
        await local("SetAlarmState", AlarmName="alarm", StateValue="OK", StateReason="try")
        await local.advance(11)
        assert len(local.mail.invoked) == 1

    tell(story)


def test_set_alarm_state_acts_and_lasts_until_the_next_evaluation(tell):
    async def story(local):
        await local.alarm(AlarmActions=[FUNCTION], TreatMissingData="notBreaching")
        await local.settle()
        await local(
            "SetAlarmState", AlarmName="alarm", StateValue="ALARM", StateReason="a drill", StateReasonData='{"a": 1}'
        )
        await local.settle()
        assert await local.state() == "ALARM"
        assert local.mail.invoked[0][1]["alarmData"]["state"]["reason"] == "a drill"
        await local.advance(11)
        assert await local.state() == "OK"
        assert await local.history("StateUpdate") == [
            "Alarm updated from INSUFFICIENT_DATA to OK",
            "Alarm updated from OK to ALARM",
            "Alarm updated from ALARM to OK",
        ]
        with pytest.raises(ClientError, match="InvalidFormat"):
            await local("SetAlarmState", AlarmName="alarm", StateValue="OK", StateReason="r", StateReasonData="{")

    tell(story)


def test_history_tells_definition_change_and_action_with_their_data(tell):
    async def story(local):
        await local.alarm(AlarmActions=[TOPIC])
        local.put(5)
        await local.advance(11)
        answer = await local("DescribeAlarmHistory", AlarmName="alarm", ScanBy="TimestampAscending")
        created, changed, acted = answer["AlarmHistoryItems"]
        assert [created["HistoryItemType"], changed["HistoryItemType"], acted["HistoryItemType"]] == [
            "ConfigurationUpdate", "StateUpdate", "Action"
        ]  # fmt: skip
        assert json.loads(created["HistoryData"])["createdAlarm"]["Threshold"] == 1.0
        states = json.loads(changed["HistoryData"])
        assert states["oldState"] == {
            "stateValue": "INSUFFICIENT_DATA", "stateReason": "Unchecked: Initial alarm creation"
        }  # fmt: skip
        assert states["newState"]["stateReasonData"]["recentDatapoints"] == [5.0]
        assert acted["HistorySummary"] == f"Successfully executed action {TOPIC}"
        data = json.loads(acted["HistoryData"])
        assert (data["actionState"], data["notificationResource"]) == ("Succeeded", TOPIC)
        assert data["publishedMessage"]["NewStateValue"] == "ALARM"
        first = await local("DescribeAlarmHistory", MaxRecords=2)
        rest = await local("DescribeAlarmHistory", MaxRecords=2, NextToken=first["NextToken"])
        assert [len(first["AlarmHistoryItems"]), len(rest["AlarmHistoryItems"])] == [2, 1]
        assert "NextToken" not in rest

    tell(story)


def test_history_is_kept_for_thirty_days(tell):
    async def story(local):
        await local.alarm(TreatMissingData="ignore", Period=3600)
        await local("DeleteAlarms", AlarmNames=["alarm"])
        assert len(await local.history()) == 2
        local.clock.now += 31 * 86400
        local.clock.wake_until(local.clock.now)
        await asyncio.sleep(0.1)
        assert await local.history() == []

    tell(story)


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
        ({**SINGLE, "Metrics": math("NOPE(errors)", "errors")}, "ValidationError", "there is no function"),
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


def test_a_verdict_on_a_state_that_is_no_longer_changes_nothing(tell):
    async def story(local):
        await local.alarm(TreatMissingData="ignore")
        await local.settle()
        book = local.service._book
        before = book.alarms["alarm"]
        await local("SetAlarmState", AlarmName="alarm", StateValue="ALARM", StateReason="meanwhile")
        await book.decide([(before, Verdict("OK", "too late", "{}"))])
        assert await local.state() == "ALARM"
        await local.alarm(Threshold=2.0)
        await book.decide([(replace(book.alarms["alarm"], queries=before.queries), Verdict("OK", "old metrics", "{}"))])
        assert await local.state() == "ALARM"

    tell(story)


def test_two_hundred_alarms_are_read_and_evaluated_in_one_go(tell):
    async def story(local):
        for number in range(200):
            await local.alarm(f"a{number}", Dimensions=[{"Name": "n", "Value": str(number)}], TreatMissingData="ignore")
        await local.settle()
        local.put(5, n="7")
        reads = 0
        read = local.service._database.read

        async def counted(work):
            nonlocal reads
            reads += 1
            return await read(work)

        local.service._database.read = counted
        await local.advance(10.5)
        assert reads == 1
        assert await local.state("a7") == "ALARM"

    tell(story)
