"""Queues that call functions: what AWS refuses is refused, and a failed message comes back and goes where it should."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

pytestmark = pytest.mark.e2e

PICKY = """
import boto3, os
def handler(event, context):
    again = []
    for record in event["Records"]:
        name = f"seen/{record['body']}-{record['attributes']['ApproximateReceiveCount']}"
        boto3.client("s3").put_object(Bucket="picky", Key=name)
        if record["body"] == "bad":
            again.append({"itemIdentifier": record["messageId"]})
            boto3.client("sqs").change_message_visibility(
                QueueUrl=os.environ["QUEUE"], ReceiptHandle=record["receiptHandle"], VisibilityTimeout=0
            )
    return {"batchItemFailures": again}
"""


@pytest.fixture(scope="module")
def functions(cloud, functions_of):
    return functions_of(cloud)


def queue(cloud: Any, name: str, **attributes: str) -> tuple[str, str]:
    """The URL and the ARN of a new queue."""
    url = cloud.client("sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, f"arn:aws:sqs:us-east-1:000000000000:{name}"


def refused(cloud: Any, **wanted: Any) -> str:
    with pytest.raises(ClientError) as caught:
        cloud.client("lambda").create_event_source_mapping(**wanted)
    return str(caught.value)


def test_a_mapping_that_could_never_work_is_refused_with_the_reason(cloud, functions):
    functions.create("blind")
    functions.allow("blind", Action=["sqs:ReceiveMessage", "sqs:GetQueueAttributes"], Resource="*")
    _, arn = queue(cloud, "refusals", VisibilityTimeout="2")
    both = {"FunctionName": "blind", "EventSourceArn": arn}
    assert "The specified queue does not exist" in refused(cloud, **{**both, "EventSourceArn": f"{arn}-not"})
    assert "does not have permissions to call DeleteMessage on SQS" in refused(cloud, **both)
    functions.allow("blind", Action=["sqs:*"], Resource="*")
    assert "Queue visibility timeout: 2 seconds is less than Function timeout:" in refused(cloud, **both)
    _, arn = queue(cloud, "takes", VisibilityTimeout="900")
    both["EventSourceArn"] = arn
    assert "Maximum batch window in seconds must be greater than 0" in refused(cloud, **both, BatchSize=11)
    client = cloud.client("lambda")
    made = client.create_event_source_mapping(**both, BatchSize=11, MaximumBatchingWindowInSeconds=1)
    assert made["UUID"] in refused(cloud, **both)
    with pytest.raises(ClientError, match="Maximum batch window"):
        client.update_event_source_mapping(UUID=made["UUID"], MaximumBatchingWindowInSeconds=0)
    client.update_event_source_mapping(UUID=made["UUID"], BatchSize=10, MaximumBatchingWindowInSeconds=0)
    client.delete_event_source_mapping(UUID=made["UUID"])


def test_a_redrive_policy_is_answered_without_spaces(cloud):
    _, dead = queue(cloud, "compact-dead")
    spaced = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 2})
    url, _ = queue(cloud, "compact", RedrivePolicy=spaced)
    client = cloud.client("sqs")

    def answered(name: str) -> str:
        return client.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name]

    assert answered("RedrivePolicy") == f'{{"deadLetterTargetArn":"{dead}","maxReceiveCount":2}}'
    client.set_queue_attributes(QueueUrl=url, Attributes={"RedriveAllowPolicy": '{"redrivePermission": "denyAll"}'})
    assert answered("RedriveAllowPolicy") == '{"redrivePermission":"denyAll"}'
    with pytest.raises(ClientError, match="InvalidAttributeValue"):
        client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": "{no JSON"})


def test_messages_that_a_function_gives_back_come_again_and_then_go_to_the_dead_letters(cloud, functions, eventually):
    dead_url, dead = queue(cloud, "picky-dead")
    redrive = json.dumps({"deadLetterTargetArn": dead, "maxReceiveCount": 2})
    url, arn = queue(cloud, "picky", VisibilityTimeout="900", RedrivePolicy=redrive)
    cloud.client("s3").create_bucket(Bucket="picky")
    functions.create("picky", source=PICKY, Environment={"Variables": {"QUEUE": url}})
    functions.allow("picky", Action=["s3:PutObject", "sqs:*"], Resource="*")
    mapping = cloud.client("lambda").create_event_source_mapping(
        FunctionName="picky", EventSourceArn=arn, FunctionResponseTypes=["ReportBatchItemFailures"]
    )
    for body in ("good", "bad"):
        cloud.client("sqs").send_message(QueueUrl=url, MessageBody=body)

    def dead_letters() -> list[str]:
        found = cloud.client("sqs").receive_message(QueueUrl=dead_url, VisibilityTimeout=0).get("Messages", [])
        return [message["Body"] for message in found]

    def seen() -> list[str]:
        entries = cloud.client("s3").list_objects_v2(Bucket="picky", Prefix="seen/").get("Contents", [])
        return [entry["Key"] for entry in entries]

    assert eventually(dead_letters) == ["bad"]
    assert eventually(lambda: len(seen()) >= 3)  # the other message may be in a call that still runs
    assert seen() == ["seen/bad-1", "seen/bad-2", "seen/good-1"]
    cloud.client("lambda").delete_event_source_mapping(UUID=mapping["UUID"])
