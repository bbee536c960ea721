"""Queues, topics, alarms and dashboards, each from its creation to its end."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytestmark = pytest.mark.e2e

TAGS = {"team": "models", "stage": "test"}


def query(name: str, metric: str) -> dict[str, Any]:
    where = {"EndpointName": "orders", "VariantName": "v1"}
    inner = {"metricName": metric, "namespace": "AWS/SageMaker", "period": 60, "stat": "Sum", "dimensions": where}
    return {"id": name, "metric": inner}


def board(text: str) -> str:
    place = {"type": "text", "x": 0, "y": 0, "width": 6, "height": 3}
    return json.dumps({"widgets": [{**place, "properties": {"markdown": text}}]})


def set_threshold(cloudwatch: Any, name: str, threshold: float) -> None:
    alarm = cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"][0]
    kept = ("AlarmName", "AlarmDescription", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator", "Metrics")
    more = ("TreatMissingData", "AlarmActions", "OKActions", "WarmUpConfiguration")
    cloudwatch.put_metric_alarm(Threshold=threshold, **{k: alarm[k] for k in (*kept, *more)})


CASES: list[dict[str, Any]] = [
    {
        "token": "aws:sqs/queue:Queue",
        "inputs": lambda w: {
            "name": w.name("dead"),
            "messageRetentionSeconds": 1209600,
            "visibilityTimeoutSeconds": 90,
            "kmsMasterKeyId": "alias/aws/sqs",
            "redrivePolicy": json.dumps({"deadLetterTargetArn": w.queue()["arn"], "maxReceiveCount": 3}),
            "tags": TAGS,
        },
        "ident": lambda s: s["url"],
        "drift": lambda w, s: w.client("sqs").set_queue_attributes(
            QueueUrl=s["url"], Attributes={"MessageRetentionPeriod": "60"}
        ),
        "drifted": {"messageRetentionSeconds"},
        "change": lambda w: {
            "messageRetentionSeconds": None,
            "kmsMasterKeyId": None,
            "sqsManagedSseEnabled": True,
            "redrivePolicy": None,
            "tags": None,
        },
        "replace": lambda w: {"name": w.name("other")},
    },
    {
        "token": "aws:sns/topic:Topic",
        "inputs": lambda w: {
            "name": w.name("alerts"),
            "displayName": "Alerts",
            "kmsMasterKeyId": "alias/aws/sns",
            "tags": TAGS,
        },
        "ident": lambda s: s["arn"],
        "drift": lambda w, s: w.client("sns").set_topic_attributes(
            TopicArn=s["arn"], AttributeName="DisplayName", AttributeValue="Other"
        ),
        "drifted": {"displayName"},
        "change": lambda w: {"displayName": None, "kmsMasterKeyId": None, "tags": {"team": "other"}},
        "replace": lambda w: {"name": w.name("other")},
    },
    {
        "token": "aws:sns/topicSubscription:TopicSubscription",
        "inputs": lambda w: {
            "topic": w.topic()["arn"],
            "protocol": "sqs",
            "endpoint": w.queue()["arn"],
            "rawMessageDelivery": True,
            "filterPolicy": json.dumps({"kind": ["alarm"]}),
        },
        "ident": lambda s: s["arn"],
        "drift": lambda w, s: w.client("sns").set_subscription_attributes(
            SubscriptionArn=s["arn"], AttributeName="RawMessageDelivery", AttributeValue="false"
        ),
        "drifted": {"rawMessageDelivery"},
        "change": lambda w: {"rawMessageDelivery": None, "filterPolicy": None},
        "replace": lambda w: {"endpoint": "arn:aws:sqs:us-east-1:000000000000:other"},
    },
    {
        "token": "aws:cloudwatch/metricAlarm:MetricAlarm",
        "inputs": lambda w: {
            "name": w.name("errors"),
            "alarmDescription": "more than 5% of requests fail",
            "comparisonOperator": "GreaterThanThreshold",
            "evaluationPeriods": 2,
            "datapointsToAlarm": 1,
            "threshold": 0.05,
            "treatMissingData": "notBreaching",
            "warmUpConfiguration": {"warmUpPeriodDurationInMinutes": 5},
            "alarmActions": [w.topic()["arn"]],
            "okActions": [w.made[-1].state["arn"]],
            "metricQueries": [
                {"id": "rate", "expression": "errors / requests", "label": "5XX rate", "returnData": True},
                query("errors", "Invocation5XXErrors"),
                query("requests", "Invocations"),
            ],
            "tags": TAGS,
        },
        "ident": lambda s: s["name"],
        "drift": lambda w, s: set_threshold(w.client("cloudwatch"), s["name"], 0.5),
        "drifted": {"threshold"},
        "change": lambda w: {
            "metricQueries": None,
            "metricName": "ModelLatency",
            "namespace": "AWS/SageMaker",
            "dimensions": {"EndpointName": "orders", "VariantName": "v1"},
            "period": 60,
            "extendedStatistic": "p99",
            "unit": "Microseconds",
            "threshold": 500_000,
            "alarmDescription": None,
            "treatMissingData": None,
            "warmUpConfiguration": {
                "warmUpPeriodDurationInMinutes": 2,
                "onlyStartEvaluatingAfterWarmUpPeriodEnds": True,
            },
            "okActions": None,
            "tags": None,
        },
        "replace": lambda w: {"name": w.name("other")},
    },
    {
        "token": "aws:cloudwatch/compositeAlarm:CompositeAlarm",
        "inputs": lambda w: {
            "alarmName": w.name("page"),
            "alarmDescription": "wakes somebody",
            "alarmRule": "FALSE",
            "alarmActions": [w.topic()["arn"]],
            "tags": TAGS,
        },
        "ident": lambda s: s["alarmName"],
        "drift": lambda w, s: w.client("cloudwatch").put_composite_alarm(
            AlarmName=s["alarmName"], AlarmRule="NOT TRUE"
        ),
        "drifted": {"alarmRule", "alarmActions", "alarmDescription"},
        "change": lambda w: {
            "alarmRule": "FALSE OR NOT TRUE",
            "alarmActions": None,
            "okActions": [w.made[0].state["arn"]],
            "alarmDescription": None,
            "tags": None,
        },
        "replace": lambda w: {"alarmName": w.name("other")},
    },
    {
        "token": "aws:cloudwatch/dashboard:Dashboard",
        "inputs": lambda w: {"dashboardName": w.name("board"), "dashboardBody": board("champion")},
        "ident": lambda s: s["dashboardName"],
        "drift": lambda w, s: w.client("cloudwatch").put_dashboard(
            DashboardName=s["dashboardName"], DashboardBody=board("other")
        ),
        "drifted": {"dashboardBody"},
        "change": lambda w: {"dashboardBody": board("challenger")},
        "replace": lambda w: {"dashboardName": w.name("other")},
    },
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["token"].rpartition(":")[2])
def test_a_resource_is_made_kept_changed_imported_and_removed(
    world: Any, live_through: Any, case: dict[str, Any]
) -> None:
    live_through(world, **case)
