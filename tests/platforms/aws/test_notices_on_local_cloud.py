"""Events through a running local cloud's SNS, as AWS's would deliver them: filtered, and each protocol its own form."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from platforms.aws.endpoint import SnsNotify
from rollout.core.event import Event
from rollout.reason import Reason
from tests.platforms.aws.inbox import subscribed

pytestmark = pytest.mark.e2e

WORSE = Reason("judge", "errors", "errors worse: 50% > 2%")
BEGINS = Event(0.0, "000002-b", "weights", "b", numbers={"percent": 10}, weights={"v-a": 90, "v-b": 10})
ENDS = Event(1.0, "000002-b", "rolled_back", "b", reason=WORSE, weights={"v-a": 100})


def inbox(cloud: Any, topic: str, name: str, **attributes: str) -> Callable[[], list[dict[str, Any]]]:
    """A queue that the topic may send to; gives the messages that it holds."""
    sqs, url = cloud.client("sqs"), subscribed(cloud.client, name, topic, **attributes)
    asked = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 2, "MessageAttributeNames": ["All"]}
    return lambda: sqs.receive_message(QueueUrl=url, **asked).get("Messages", [])


def test_a_subscription_hears_what_its_filter_lets_through_as_json(cloud: Any) -> None:
    topic = cloud.client("sns").create_topic(Name="notices")["TopicArn"]
    failures = inbox(cloud, topic, "notices-failures", FilterPolicy='{"outcome": ["rolled_back", "failed"]}')
    verdicts = inbox(
        cloud, topic, "notices-verdicts", FilterPolicy='{"outcome": [{"exists": true}], "endpoint": ["other"]}'
    )
    raw = inbox(cloud, topic, "notices-raw", RawMessageDelivery="true")
    for event in (BEGINS, ENDS):
        SnsNotify(cloud.client, topic, "endpoint").send(event)

    (failure,) = (json.loads(item["Body"]) for item in failures())
    assert failure["Subject"] == "endpoint: b rolled back"
    assert json.loads(failure["Message"])["why"] == "errors worse: 50% > 2%"
    assert failure["MessageAttributes"]["endpoint"] == {"Type": "String", "Value": "endpoint"}
    assert verdicts() == []
    whole = {item["MessageAttributes"]["kind"]["StringValue"]: json.loads(item["Body"]) for item in raw()}
    assert {kind: document["weights"] for kind, document in whole.items()} == {
        "weights": {"v-a": 90, "v-b": 10},
        "rolled_back": {"v-a": 100},
    }
