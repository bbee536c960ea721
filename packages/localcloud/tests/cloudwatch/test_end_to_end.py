"""Alarms of a real cloud: real clients put the data, real topics, queues, functions and rules get the news."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import botocore.session
import pytest

pytestmark = pytest.mark.e2e

PERIOD = 10
HANDLER = """
import boto3, json

def handler(event, context):
    boto3.client("sqs").send_message(QueueUrl="{queue}", MessageBody=json.dumps(event))
"""


def alarm(cloud: Any, name: str, **more: Any) -> None:
    """An alarm on the sum of `errors` of the variant of its own name, over 10 s, more than 1."""
    cloud.client("cloudwatch").put_metric_alarm(
        **{
            "AlarmName": name,
            "Namespace": "e2e",
            "MetricName": "errors",
            "Dimensions": [{"Name": "Variant", "Value": name}],
            "Statistic": "Sum",
            "Period": PERIOD,
            "EvaluationPeriods": 1,
            "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            **more,
        }
    )


def put(cloud: Any, value: float, variant: str) -> None:
    datum = {"MetricName": "errors", "Value": value, "StorageResolution": 1}
    cloud.client("cloudwatch").put_metric_data(
        Namespace="e2e", MetricData=[{**datum, "Dimensions": [{"Name": "Variant", "Value": variant}]}]
    )


def state(cloud: Any, name: str) -> str:
    return cloud.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"][0]["StateValue"]


def history(cloud: Any, name: str, kind: str) -> list[str]:
    answer = cloud.client("cloudwatch").describe_alarm_history(AlarmName=name, HistoryItemType=kind)
    return [item["HistorySummary"] for item in answer["AlarmHistoryItems"]]


def wait_for(question: Callable[[], Any], seconds: float = 300) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.1)
    return answer


class Queue:
    """A queue that a service may send to."""

    def __init__(self, cloud: Any, name: str, service: str) -> None:
        self.client = cloud.client("sqs")
        self.url = self.client.create_queue(QueueName=name)["QueueUrl"]
        attributes = self.client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["QueueArn"])
        self.arn = attributes["Attributes"]["QueueArn"]
        statement = {
            "Effect": "Allow", "Principal": {"Service": service}, "Action": "sqs:SendMessage", "Resource": self.arn
        }  # fmt: skip
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def take(self) -> Any:
        """The body of the next message, or None."""
        messages = self.client.receive_message(QueueUrl=self.url).get("Messages", [])
        for message in messages:
            self.client.delete_message(QueueUrl=self.url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(messages[0]["Body"]) if messages else None


def topic(cloud: Any, name: str) -> tuple[str, Queue]:
    queue = Queue(cloud, name, "sns.amazonaws.com")
    sns = cloud.client("sns")
    arn = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    return arn, queue


def function(cloud: Any, name: str) -> tuple[str, Queue]:
    """A function that sends its events on into a queue."""
    queue = Queue(cloud, f"{name}-seen", "lambda.amazonaws.com")
    trust = [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]
    send = [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": queue.arn}]
    iam = cloud.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="send", PolicyDocument=document(send))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("sender.py", HANDLER.format(queue=queue.url))
    functions = cloud.client("lambda")
    arn = functions.create_function(
        FunctionName=name, Runtime="python3.11", Role=role, Handler="sender.handler",
        Code={"ZipFile": archive.getvalue()}, Timeout=20,
    )["FunctionArn"]  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1, "MaxAttempts": 600})
    return arn, queue


def document(statements: list[dict[str, Any]]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def permit(cloud: Any, name: str, alarm_name: str) -> None:
    cloud.client("lambda").add_permission(
        FunctionName=name,
        StatementId="alarm",
        Action="lambda:InvokeFunction",
        Principal="lambda.alarms.cloudwatch.amazonaws.com",
        SourceArn=f"arn:aws:cloudwatch:us-east-1:000000000000:alarm:{alarm_name}",
    )


def test_a_breach_reaches_topic_function_and_event_bus_within_two_periods(cloud):
    topic_arn, messages = topic(cloud, "cw-news")
    function_arn, seen = function(cloud, "cw-news")
    permit(cloud, "cw-news", "cw-news")
    bus = Queue(cloud, "cw-news-events", "events.amazonaws.com")
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": ["cw-news"], "state": {"value": ["ALARM"]}}}
    cloud.client("events").put_rule(Name="cw-news", EventPattern=json.dumps(pattern))
    cloud.client("events").put_targets(Rule="cw-news", Targets=[{"Id": "1", "Arn": bus.arn}])
    alarm(cloud, "cw-news", AlarmActions=[topic_arn, function_arn])
    alarm(cloud, "cw-news-other", AlarmActions=[topic_arn])
    for name in ("cw-news", "cw-news-other"):
        cloud.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue="OK", StateReason="a drill")

    breached = time.monotonic()
    put(cloud, 5, "cw-news")
    message = json.loads(wait_for(messages.take)["Message"])
    event = wait_for(seen.take)
    acted = time.monotonic() - breached
    news = wait_for(bus.take)

    assert acted < 2 * PERIOD
    assert (message["AlarmName"], message["NewStateValue"], message["OldStateValue"]) == ("cw-news", "ALARM", "OK")
    assert (event["source"], event["alarmData"]["alarmName"]) == ("aws.cloudwatch", "cw-news")
    assert event["alarmData"]["state"]["value"] == "ALARM"
    assert news["detail-type"] == "CloudWatch Alarm State Change"
    assert news["resources"] == ["arn:aws:cloudwatch:us-east-1:000000000000:alarm:cw-news"]
    assert news["detail"]["previousState"]["value"] == "OK"
    wait_for(lambda: len(history(cloud, "cw-news", "Action")) == 2)
    assert {line.partition(" action ")[0] for line in history(cloud, "cw-news", "Action")} == {"Successfully executed"}
    assert state(cloud, "cw-news-other") == "OK"
    assert history(cloud, "cw-news-other", "Action") == []


def test_a_function_without_the_permission_is_not_invoked_and_the_history_says_so(cloud):
    function_arn, seen = function(cloud, "cw-denied")
    alarm(cloud, "cw-denied", AlarmActions=[function_arn], TreatMissingData="ignore")
    client = cloud.client("cloudwatch")
    client.set_alarm_state(AlarmName="cw-denied", StateValue="ALARM", StateReason="a drill")
    (line,) = wait_for(lambda: history(cloud, "cw-denied", "Action"))
    assert line.startswith(f"Failed to execute action {function_arn}. Received error: ")
    assert "not authorized to perform: lambda:InvokeFunction" in line
    assert seen.take() is None

    permit(cloud, "cw-denied", "cw-denied")
    client.set_alarm_state(AlarmName="cw-denied", StateValue="OK", StateReason="a drill")
    client.set_alarm_state(AlarmName="cw-denied", StateValue="ALARM", StateReason="a drill")
    assert wait_for(seen.take)["alarmData"]["state"]["reason"] == "a drill"


def test_a_topic_whose_policy_shuts_cloudwatch_out_is_a_failed_action(cloud):
    topic_arn, messages = topic(cloud, "cw-shut")
    only_root = {
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::000000000000:root"}, "Action": "sns:Publish",
        "Resource": topic_arn,
    }  # fmt: skip
    cloud.client("sns").set_topic_attributes(
        TopicArn=topic_arn, AttributeName="Policy", AttributeValue=document([only_root])
    )
    alarm(cloud, "cw-shut", AlarmActions=[topic_arn], TreatMissingData="ignore")
    cloud.client("cloudwatch").set_alarm_state(AlarmName="cw-shut", StateValue="ALARM", StateReason="a drill")
    (line,) = wait_for(lambda: history(cloud, "cw-shut", "Action"))
    assert "cloudwatch.amazonaws.com is not authorized to perform: SNS:Publish" in line
    assert messages.take() is None


def test_a_topic_whose_policy_demands_tls_takes_alarms(cloud):
    topic_arn, messages = topic(cloud, "cw-secure")
    of_alarms = {"Effect": "Allow", "Principal": {"Service": "cloudwatch.amazonaws.com"}}
    no_plain = {"Effect": "Deny", "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    policy = document([{**one, "Action": "sns:Publish", "Resource": topic_arn} for one in (of_alarms, no_plain)])
    cloud.client("sns").set_topic_attributes(TopicArn=topic_arn, AttributeName="Policy", AttributeValue=policy)
    alarm(cloud, "cw-secure", AlarmActions=[topic_arn], TreatMissingData="ignore")
    cloud.client("cloudwatch").set_alarm_state(AlarmName="cw-secure", StateValue="ALARM", StateReason="a drill")
    assert json.loads(wait_for(messages.take)["Message"])["NewStateValue"] == "ALARM"


def test_what_was_acknowledged_is_there_after_kill_9(new_cloud):
    cloud = new_cloud()
    cloud.start()
    client = cloud.client("cloudwatch")
    alarm(cloud, "kept", TreatMissingData="ignore")
    client.set_alarm_state(AlarmName="kept", StateValue="ALARM", StateReason="a drill")
    client.put_dashboard(DashboardName="kept", DashboardBody='{"widgets": []}')
    for value in range(20):
        put(cloud, value, "killed")
    cloud.kill()
    cloud.start()
    client = cloud.client("cloudwatch")
    now = time.time()
    answer = client.get_metric_statistics(
        Namespace="e2e", MetricName="errors", Dimensions=[{"Name": "Variant", "Value": "killed"}], Period=3600,
        StartTime=datetime.fromtimestamp(now - 600, UTC), EndTime=datetime.fromtimestamp(now + 60, UTC),
        Statistics=["Sum", "SampleCount"], ExtendedStatistics=["p90"],
    )  # fmt: skip
    (point,) = answer["Datapoints"]
    assert (point["SampleCount"], point["Sum"], point["ExtendedStatistics"]) == (20, 190, {"p90": 17})
    assert state(cloud, "kept") == "ALARM"
    assert history(cloud, "kept", "StateUpdate") == ["Alarm updated from INSUFFICIENT_DATA to ALARM"]
    assert client.get_dashboard(DashboardName="kept")["DashboardBody"] == '{"widgets": []}'


@pytest.mark.parametrize("protocol", ["smithy-rpc-v2-cbor", "json", "query"])
def test_botocore_speaks_each_protocol_with_the_real_server(cloud, protocol):
    session = botocore.session.Session()
    loader = session.get_component("data_loader")
    load = loader.load_service_model

    def only_one(service: str, type_name: str, *version: Any, **more: Any) -> Any:
        model = load(service, type_name, *version, **more)
        if service != "cloudwatch" or type_name != "service-2":
            return model
        return {**model, "metadata": {**model["metadata"], "protocol": protocol, "protocols": [protocol]}}

    loader.load_service_model = only_one
    credentials = {
        "aws_access_key_id": cloud.keys.access_key_id, "aws_secret_access_key": cloud.keys.secret_access_key
    }  # fmt: skip
    client, elsewhere = (
        session.create_client("cloudwatch", region, endpoint_url=cloud.url, **credentials)
        for region in ("us-east-1", "eu-west-1")
    )
    data = [{"MetricName": f"m{number}", "Value": float(number)} for number in range(500)]  # sent compressed
    client.put_metric_data(Namespace=f"wire-{protocol}", MetricData=data)
    pages = client.get_paginator("list_metrics").paginate(Namespace=f"wire-{protocol}")
    assert sum(len(page["Metrics"]) for page in pages) == 500
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.set_alarm_state(AlarmName="unknown", StateValue="OK", StateReason="r")
    with pytest.raises(client.exceptions.ClientError, match=r"NotImplemented.*PutAnomalyDetector"):
        client.put_anomaly_detector(Namespace="n", MetricName="m", Stat="Sum")
    elsewhere.put_dashboard(DashboardName=f"wire-{protocol}", DashboardBody='{"widgets": []}')
    arn = client.get_dashboard(DashboardName=f"wire-{protocol}")["DashboardArn"]  # which is of no region
    elsewhere.tag_resource(ResourceARN=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert client.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    elsewhere.delete_dashboards(DashboardNames=[f"wire-{protocol}"])
    with pytest.raises(client.exceptions.ClientError, match="does not exist"):
        client.get_dashboard(DashboardName=f"wire-{protocol}")


def test_the_aws_command_line_defines_describes_and_deletes(cloud):
    aws = Path(sys.executable).with_name("aws")
    command = str(aws) if aws.exists() else "aws"
    environment = {
        **os.environ, **cloud.environment(), "AWS_PAGER": "",
    }  # fmt: skip

    def run(*arguments: str) -> Any:
        done = subprocess.run(
            [command, "cloudwatch", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else None

    run(
        "put-metric-alarm", "--alarm-name", "cli", "--namespace", "cli", "--metric-name", "m", "--statistic", "Sum",
        "--period", "60", "--evaluation-periods", "1", "--threshold", "1", "--comparison-operator",
        "GreaterThanThreshold", "--dimensions", "Name=Variant,Value=a", "--treat-missing-data", "breaching",
    )  # fmt: skip
    run("put-metric-data", "--namespace", "cli", "--metric-name", "m", "--value", "3", "--dimensions", "Variant=a")
    now = datetime.now(UTC)
    statistics = run(
        "get-metric-statistics", "--namespace", "cli", "--metric-name", "m", "--dimensions", "Name=Variant,Value=a",
        "--period", "86400", "--statistics", "Maximum", "--start-time", now.date().isoformat(),
        "--end-time", datetime.fromtimestamp(now.timestamp() + 120, UTC).isoformat(),
    )  # fmt: skip
    assert [point["Maximum"] for point in statistics["Datapoints"]] == [3.0]
    (described,) = run("describe-alarms", "--alarm-names", "cli")["MetricAlarms"]
    assert described["Dimensions"] == [{"Name": "Variant", "Value": "a"}]
    assert run("list-metrics", "--namespace", "cli")["Metrics"][0]["MetricName"] == "m"
    run("delete-alarms", "--alarm-names", "cli")
    assert cloud.client("cloudwatch").describe_alarms(AlarmNames=["cli"])["MetricAlarms"] == []


def test_an_alarm_sees_what_functions_do(cloud):
    """The metrics of AWS's own namespaces come in process; here those of Lambda."""
    client = cloud.client("cloudwatch")
    function_arn, seen = function(cloud, "cw-metered")
    cloud.client("lambda").invoke(FunctionName="cw-metered", Payload=b'{"some": "event"}')
    wait_for(seen.take)
    wait_for(
        lambda: any(
            {"Name": "FunctionName", "Value": "cw-metered"} in metric["Dimensions"]
            for metric in client.list_metrics(Namespace="AWS/Lambda", MetricName="Invocations")["Metrics"]
        )
    )
    assert function_arn.endswith(":cw-metered")
