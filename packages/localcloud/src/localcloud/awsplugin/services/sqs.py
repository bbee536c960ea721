"""Amazon SQS queues."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.spec import Change, Failures, Name, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

# Property -> queue attribute, with how the text of the attribute is read.
_INTEGERS = {
    "delaySeconds": "DelaySeconds",
    "visibilityTimeoutSeconds": "VisibilityTimeout",
    "messageRetentionSeconds": "MessageRetentionPeriod",
    "maxMessageSize": "MaximumMessageSize",
    "receiveWaitTimeSeconds": "ReceiveMessageWaitTimeSeconds",
    "kmsDataKeyReusePeriodSeconds": "KmsDataKeyReusePeriodSeconds",
}
_BOOLEANS = {
    "sqsManagedSseEnabled": "SqsManagedSseEnabled",
}
_TEXTS = {
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "redrivePolicy": "RedrivePolicy",
    "redriveAllowPolicy": "RedriveAllowPolicy",
}
_ATTRIBUTES = {**_INTEGERS, **_BOOLEANS, **_TEXTS}
_TAGS = TagApi("list_queue_tags", "tag_queue", "untag_queue", "QueueUrl", at="url", pair=None)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _create_queue(s: Scope, p: Props) -> Props:
    wanted = {attribute: _text(p[name]) for name, attribute in _ATTRIBUTES.items() if p.get(name) is not None}
    return {"url": s("sqs").create_queue(QueueName=p["name"], Attributes=wanted, tags=p["tags"])["QueueUrl"]}


def _read_queue(s: Scope, k: Props) -> Props:
    live = s("sqs").get_queue_attributes(QueueUrl=k["url"], AttributeNames=["All"])["Attributes"]
    return {
        "url": k["url"],
        "name": live["QueueArn"].rpartition(":")[2],
        "arn": live["QueueArn"],
        "kmsDataKeyReusePeriodSeconds": 300,
        **{name: int(live[a]) for name, a in _INTEGERS.items() if a in live},
        **{name: live[a].lower() == "true" for name, a in _BOOLEANS.items() if a in live},
        **{name: live[a] for name, a in _TEXTS.items() if live.get(a)},
    }


def _update_queue(s: Scope, k: Props, p: Props, change: Change) -> None:
    wanted: dict[str, str] = {}
    for name in change.keys & _ATTRIBUTES.keys():
        default = QUEUE.props[name].default
        value = p.get(name, default)
        wanted[_ATTRIBUTES[name]] = "" if value is None else _text(value)
    if wanted:
        s("sqs").set_queue_attributes(QueueUrl=k["url"], Attributes=wanted)


def _check_queue(p: Props) -> Failures:
    if p.get("kmsMasterKeyId") and p.get("sqsManagedSseEnabled") is True:
        return [("sqsManagedSseEnabled", "a queue is encrypted with kmsMasterKeyId or sqsManagedSseEnabled, not both")]
    return []


def same_count(wanted: Any, live: Any) -> bool:
    """Whether two redrive policies differ only in maxReceiveCount being a number or its text."""

    def plain(document: Any) -> Any:
        return {key: str(value) for key, value in document.items()} if isinstance(document, dict) else document

    return plain(wanted) == plain(live)


QUEUE = Resource(
    "aws:sqs/queue:Queue",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "delaySeconds": Prop(default=0),
        "visibilityTimeoutSeconds": Prop(default=30),
        "messageRetentionSeconds": Prop(default=345600),
        "maxMessageSize": Prop(computed=True),
        "receiveWaitTimeSeconds": Prop(default=0),
        "kmsMasterKeyId": Prop(),
        "kmsDataKeyReusePeriodSeconds": Prop(computed=True),
        "sqsManagedSseEnabled": Prop(computed=True),
        "policy": Prop(json=True, computed=True),
        "redrivePolicy": Prop(json=True, same=same_count),
        "redriveAllowPolicy": Prop(json=True, computed=True),
    },
    ident="url",
    outputs=("arn", "url"),
    name=Name(limit=80, prefix="namePrefix"),
    tags=_TAGS,
    check=_check_queue,
    create=_create_queue,
    read=_read_queue,
    update=_update_queue,
    delete=lambda s, k: s("sqs").delete_queue(QueueUrl=k["url"]),
)


RESOURCES = (QUEUE,)
