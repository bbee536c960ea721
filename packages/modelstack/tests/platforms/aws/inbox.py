"""What a topic sends to its subscribers, kept in the order of arrival."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

from modelstack.program.aws.statements import document
from tests.conformance.stage import Message


def subscribed(clients: Callable[[str], Any], name: str, topic: str, **attributes: str) -> str:
    """The URL of a new queue that a topic may send to; the attributes are those of its subscription."""
    sqs = clients("sqs")
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    send = {
        "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": ["sqs:SendMessage"],
        "Resource": [arn], "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }  # fmt: skip
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": document(send)})
    clients("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=attributes)
    return queue


class Inbox:
    """A new queue that is subscribed to a topic."""

    def __init__(self, clients: Callable[[str], Any], name: str, topic: str) -> None:
        self._sqs, self._queue = clients("sqs"), subscribed(clients, name, topic)
        self._messages: list[Message] = []
        self._reading = threading.Lock()

    def messages(self) -> list[Message]:
        """All messages so far."""
        with self._reading:
            while found := self._sqs.receive_message(QueueUrl=self._queue, MaxNumberOfMessages=10).get("Messages", []):
                for one in found:
                    text = json.loads(one["Body"])["Message"]
                    self._messages.append(Message(text, json.loads(text)))
                    self._sqs.delete_message(QueueUrl=self._queue, ReceiptHandle=one["ReceiptHandle"])
            return list(self._messages)

    def told(self, kind: str, rollout_id: str) -> list[Message]:
        """What was sent of one kind of event of one rollout."""
        wanted = {"kind": kind, "rollout_id": rollout_id}
        return [one for one in self.messages() if wanted.items() <= one.content.items()]
