"""What an alarm does when its state changes: topics, functions, events, and its history."""

from __future__ import annotations

import asyncio
import json

import pytest
from botocore.exceptions import ClientError

from .conftest import ARN, FUNCTION, SINGLE, TOPIC, math


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
        while await local.history():
            await asyncio.sleep(0.005)

    tell(story)
