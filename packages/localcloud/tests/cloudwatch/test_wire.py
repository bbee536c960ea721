"""Three protocols, one service."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from localcloud.cloudwatch import wire

PROTOCOLS = ("cbor", "json", "query")
DIMENSIONS = [{"Name": "EndpointName", "Value": "a & b <ü>"}]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_data_put_and_read_are_the_same_in_every_protocol(tell, protocol):
    async def story(local):
        now = local.clock.now
        datum = {"MetricName": "m", "Dimensions": DIMENSIONS, "Timestamp": at(now), "Unit": "Count"}
        sets = {"SampleCount": 2.0, "Sum": 3.0, "Minimum": 1.0, "Maximum": 2.0}
        data = [
            {**datum, "Value": 1.5, "StorageResolution": 1},
            {**datum, "Values": [2.0, 4.0], "Counts": [1.0, 3.0]},
            {**datum, "StatisticValues": sets},
        ]
        await local("PutMetricData", protocol, Namespace="n", MetricData=data)
        answer = await local(
            "GetMetricStatistics",
            protocol,
            Namespace="n",
            MetricName="m",
            Dimensions=DIMENSIONS,
            StartTime=at(now),
            EndTime=at(now + 60),
            Period=60,
            Statistics=["Sum", "SampleCount", "Minimum", "Maximum", "Average"],
        )
        (point,) = answer["Datapoints"]
        assert point.pop("Timestamp") == at(now)
        assert point == {
            "Sum": 18.5, "SampleCount": 7.0, "Minimum": 1.0, "Maximum": 4.0, "Average": 18.5 / 7, "Unit": "Count"
        }  # fmt: skip

    tell(story)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_alarm_comes_back_as_it_was_put_in_every_protocol(tell, protocol):
    async def story(local):
        asked = {
            "AlarmName": "an alarm ü",
            "AlarmDescription": "",
            "ActionsEnabled": False,
            "AlarmActions": ["arn:aws:sns:us-east-1:123456789012:t"],
            "ComparisonOperator": "LessThanThreshold",
            "EvaluationPeriods": 3,
            "DatapointsToAlarm": 2,
            "Threshold": -1.5,
            "TreatMissingData": "breaching",
            "Metrics": [
                {"Id": "e", "Expression": "m1 / 2", "Label": "half"},
                {
                    "Id": "m1",
                    "ReturnData": False,
                    "MetricStat": {
                        "Metric": {"Namespace": "n", "MetricName": "m", "Dimensions": DIMENSIONS},
                        "Period": 60,
                        "Stat": "p99",
                        "Unit": "Seconds",
                    },
                },
            ],
        }
        await local("PutMetricAlarm", protocol, **asked)
        (alarm,) = (await local("DescribeAlarms", protocol, AlarmNames=["an alarm ü"]))["MetricAlarms"]
        expected = {**asked, "Metrics": [{"ReturnData": True, **query} for query in asked["Metrics"]]}
        assert {name: alarm[name] for name in expected} == expected
        assert alarm["AlarmArn"] == "arn:aws:cloudwatch:us-east-1:123456789012:alarm:an alarm ü"
        assert alarm["StateValue"] == "INSUFFICIENT_DATA"
        assert alarm["AlarmConfigurationUpdatedTimestamp"] == at(local.clock.now)

    tell(story)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("operation", "parameters", "error"),
    [
        ("SetAlarmState", {"AlarmName": "x", "StateValue": "OK", "StateReason": "r"}, (404, "ResourceNotFound")),
        ("ListTagsForResource", {"ResourceARN": "arn:x"}, (404, "ResourceNotFoundException")),
        ("GetDashboard", {"DashboardName": "x"}, (404, "ResourceNotFound")),
        ("ListMetrics", {"NextToken": "x"}, (400, "InvalidNextToken")),
        ("PutMetricData", {"Namespace": "n"}, (400, "MissingParameter")),
        ("PutAnomalyDetector", {"MetricName": "m"}, (501, "NotImplemented")),
        ("DescribeAlarms", {"MaxRecords": 101}, (400, "ValidationError")),
        ("DescribeAlarms", {"StateValue": "BAD"}, (400, "ValidationError")),
    ],
)
def test_errors_have_their_code_and_status_in_every_protocol(tell, protocol, operation, parameters, error):
    async def story(local):
        status, _, _, parsed = await local.ask(operation, protocol, **parameters)
        assert (status, parsed["Error"]["Code"]) == error
        assert parsed["Error"]["Message"]

    tell(story)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_not_implemented_is_refused_by_name(tell, protocol):
    async def story(local):
        with pytest.raises(ClientError, match=r"PutMetricStream.*metric streams"):
            await local(
                "PutMetricStream", protocol, Name="s", FirehoseArn="arn:x", RoleArn="arn:x", OutputFormat="json"
            )
        with pytest.raises(ClientError, match=r"PutInsightRule.*Contributor Insights"):
            await local("PutInsightRule", protocol, RuleName="r", RuleDefinition="{}")

    tell(story)


def test_every_operation_of_the_model_is_carried_out_or_refused_by_name(tell):
    async def story(local):
        carried_out = set(local.service.operations)
        for name in wire.operation_names():
            if name not in carried_out:
                status, _, body = await local.service.handle(
                    "POST", f"/service/GraniteServiceVersion20100801/operation/{name}", {}, b"\xa0", {}
                )
                assert status in (400, 501)  # 400: a required member is missing
                assert status == 400 or name.encode() in body
        assert {"PutMetricData", "PutCompositeAlarm", "UntagResource", "DeleteDashboards"} <= carried_out

    tell(story)


@pytest.mark.parametrize(
    ("headers", "path", "body"),
    [
        ({}, "/service/GraniteServiceVersion20100801/operation/DescribeAlarms", b"\x9f"),
        ({}, "/service/GraniteServiceVersion20100801/operation/DescribeAlarms", b"\x01"),
        ({"x-amz-target": "GraniteServiceVersion20100801.DescribeAlarms"}, "/", b"{"),
        ({"x-amz-target": "GraniteServiceVersion20100801.DescribeAlarms"}, "/", b"[]"),
        ({}, "/", b"Action=DescribeAlarms&AlarmNames.x.1=a"),
        ({}, "/", b"Action=DescribeAlarms&AlarmNames.member.1.Name=a"),
        ({}, "/", b"Action=DescribeAlarms&MaxRecords.member.1=a&MaxRecords=1"),
        ({}, "/", b"Action=DescribeAlarms&MaxRecords=many"),
        ({}, "/", b"Action=Nonsense"),
        ({}, "/", b""),
        ({}, "/", b"\xff\xfe"),
        ({"x-amz-target": "GraniteServiceVersion20100801.Nonsense"}, "/", b"{}"),
        ({}, "/service/GraniteServiceVersion20100801/operation/Nonsense", b"\xa0"),
        ({"x-amz-target": "GraniteServiceVersion20100801.DescribeAlarms"}, "/", b'{"Unknown": 1}'),
        ({"x-amz-target": "GraniteServiceVersion20100801.SetAlarmState"}, "/", b'{"AlarmName": 5}'),
        ({"x-amz-target": "GraniteServiceVersion20100801.PutMetricData"}, "/",
         b'{"Namespace": "n", "MetricData": [{"MetricName": "m", "Value": NaN}]}'),
    ],
)  # fmt: skip
def test_requests_that_cannot_be_read_are_the_senders_fault(tell, headers, path, body):
    async def story(local):
        status, answered, told = await local.service.handle("POST", path, headers, body, {})
        assert 400 <= status < 500
        assert told
        assert "x-amzn-RequestId" in answered

    tell(story)


def test_a_query_may_be_all_in_the_url(tell):
    async def story(local):
        query = {"Action": ["DescribeAlarms"], "Version": ["2010-08-01"], "X-Amz-Date": ["now"]}
        status, headers, body = await local.service.handle("GET", "/", {}, b"", query)
        assert status == 200
        assert headers["Content-Type"] == "text/xml"
        assert b"<DescribeAlarmsResult>" in body

    tell(story)


def test_an_operation_without_output_answers_as_each_protocol_does(tell):
    async def story(local):
        for protocol, body in (("cbor", b"\xa0"), ("json", b"{}")):
            answer = await local.ask("DisableAlarmActions", protocol, AlarmNames=["a"])
            assert (answer[0], answer[2]) == (200, body)
        _, _, xml, _ = await local.ask("DisableAlarmActions", "query", AlarmNames=["a"])
        assert xml.startswith(b'<DisableAlarmActionsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">')

    tell(story)


def test_an_output_that_breaks_the_model_is_a_fault_of_the_service():
    call = wire.Call("DescribeAlarms", "json", {}, "id")
    status, _, body = wire.answer(call, {"MetricAlarms": [{"StateValue": "GREEN"}]})
    assert status == 500
    assert "GREEN" in json.loads(body)["message"]


def test_a_disk_that_cannot_be_written_to_is_told_to_the_client(start):
    async def main():
        async with start() as local:
            await local.alarm()
            connection = local.service._database._write_connection
            connection.execute("pragma query_only = on")
            status, _, _, parsed = await local.ask("DeleteAlarms", AlarmNames=["alarm"])
            assert (status, parsed["Error"]["Code"]) == (500, "InternalServiceError")
            connection.execute("pragma query_only = off")
            assert await local.state() == "INSUFFICIENT_DATA"

    asyncio.run(main())
