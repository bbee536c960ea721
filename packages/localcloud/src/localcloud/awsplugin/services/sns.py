"""Amazon SNS topics and subscriptions."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import InvalidError
from localcloud.awsplugin.services.sqs import same_count
from localcloud.awsplugin.spec import Change, Failures, Name, Prop, Resource, TagApi
from localcloud.awsplugin.wire import UNKNOWN, Props

_TAGS = TagApi("list_tags_for_resource", "tag_resource", "untag_resource", "ResourceArn")
_TOPIC = {
    "displayName": "DisplayName",
    "kmsMasterKeyId": "KmsMasterKeyId",
    "policy": "Policy",
    "deliveryPolicy": "DeliveryPolicy",
    "tracingConfig": "TracingConfig",
    "signatureVersion": "SignatureVersion",
}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _typed(name: str, value: str) -> Any:
    if name == "rawMessageDelivery":
        return value.lower() == "true"
    return int(value) if name == "signatureVersion" else value


def _create_topic(s: Scope, p: Props) -> Props:
    wanted = {attribute: _text(p[name]) for name, attribute in _TOPIC.items() if p.get(name) is not None}
    made = s("sns").create_topic(Name=p["name"], Attributes=wanted, Tags=_TAGS.pack(p["tags"]))
    return {"arn": made["TopicArn"]}


def _read_topic(s: Scope, k: Props) -> Props:
    live = s("sns").get_topic_attributes(TopicArn=k["arn"])["Attributes"]
    return {
        "arn": live["TopicArn"],
        "name": live["TopicArn"].rpartition(":")[2],
        "owner": live.get("Owner"),
        **{name: _typed(name, live[attribute]) for name, attribute in _TOPIC.items() if live.get(attribute)},
    }


def _update_topic(s: Scope, k: Props, p: Props, change: Change) -> None:
    for name in sorted(change.keys & _TOPIC.keys()):
        value = p.get(name, TOPIC.props[name].default)
        s("sns").set_topic_attributes(
            TopicArn=k["arn"], AttributeName=_TOPIC[name], AttributeValue="" if value is None else _text(value)
        )


TOPIC = Resource(
    "aws:sns/topic:Topic",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "displayName": Prop(default=""),
        "kmsMasterKeyId": Prop(),
        "policy": Prop(json=True, computed=True),
        "deliveryPolicy": Prop(json=True),
        "tracingConfig": Prop(computed=True, one_of=("Active", "PassThrough")),
        "signatureVersion": Prop(computed=True, one_of=(1, 2)),
    },
    ident="arn",
    outputs=("arn", "owner"),
    name=Name(limit=256, prefix="namePrefix"),
    tags=_TAGS,
    create=_create_topic,
    read=_read_topic,
    update=_update_topic,
    delete=lambda s, k: s("sns").delete_topic(TopicArn=k["arn"]),
)


_SUBSCRIPTION = {
    "rawMessageDelivery": "RawMessageDelivery",
    "filterPolicy": "FilterPolicy",
    "filterPolicyScope": "FilterPolicyScope",
    "redrivePolicy": "RedrivePolicy",
    "deliveryPolicy": "DeliveryPolicy",
    "subscriptionRoleArn": "SubscriptionRoleArn",
}


def _subscribe(s: Scope, p: Props) -> Props:
    wanted = {attribute: _text(p[name]) for name, attribute in _SUBSCRIPTION.items() if p.get(name) is not None}
    made = s("sns").subscribe(
        TopicArn=p["topic"],
        Protocol=p["protocol"],
        Endpoint=p["endpoint"],
        Attributes=wanted,
        ReturnSubscriptionArn=True,
    )
    if not made["SubscriptionArn"].startswith("arn:"):
        raise InvalidError(f"the subscription of {p['endpoint']!r} was not confirmed ({made['SubscriptionArn']})")
    return {"arn": made["SubscriptionArn"]}


def _read_subscription(s: Scope, k: Props) -> Props:
    live = s("sns").get_subscription_attributes(SubscriptionArn=k["arn"])["Attributes"]
    return {
        "arn": live["SubscriptionArn"],
        "topic": live["TopicArn"],
        "protocol": live["Protocol"],
        "endpoint": live["Endpoint"],
        "ownerId": live.get("Owner"),
        "pendingConfirmation": live.get("PendingConfirmation", "false") == "true",
        "confirmationWasAuthenticated": live.get("ConfirmationWasAuthenticated", "false") == "true",
        **{name: _typed(name, live[attribute]) for name, attribute in _SUBSCRIPTION.items() if live.get(attribute)},
    }


def _update_subscription(s: Scope, k: Props, p: Props, change: Change) -> None:
    for name in sorted(change.keys & _SUBSCRIPTION.keys()):
        value = p.get(name, TOPIC_SUBSCRIPTION.props[name].default)
        empty = "{}" if name in {"filterPolicy", "redrivePolicy", "deliveryPolicy"} else ""
        s("sns").set_subscription_attributes(
            SubscriptionArn=k["arn"],
            AttributeName=_SUBSCRIPTION[name],
            AttributeValue=empty if value is None else _text(value),
        )


_PROTOCOLS = ("sqs", "sms", "lambda", "firehose", "application", "http", "https", "email", "email-json")


def _check_subscription(p: Props) -> Failures:
    if p["protocol"] == "firehose" and "subscriptionRoleArn" not in p:
        return [("subscriptionRoleArn", "protocol firehose needs subscriptionRoleArn")]
    if "filterPolicyScope" in p and "filterPolicy" not in p and p["filterPolicyScope"] is not UNKNOWN:
        return [("filterPolicyScope", "a scope needs filterPolicy")]
    return []


TOPIC_SUBSCRIPTION = Resource(
    "aws:sns/topicSubscription:TopicSubscription",
    props={
        "topic": Prop(replace=True),
        "protocol": Prop(replace=True, one_of=_PROTOCOLS),
        "endpoint": Prop(replace=True),
        "rawMessageDelivery": Prop(default=False),
        "filterPolicy": Prop(json=True),
        "filterPolicyScope": Prop(computed=True, one_of=("MessageAttributes", "MessageBody")),
        "redrivePolicy": Prop(json=True, same=same_count),
        "deliveryPolicy": Prop(json=True),
        "subscriptionRoleArn": Prop(),
        "confirmationTimeoutInMinutes": Prop(local=True, default=1),
        "endpointAutoConfirms": Prop(local=True, default=False),
    },
    ident="arn",
    identity=("topic", "protocol", "endpoint"),
    outputs=("arn", "ownerId", "pendingConfirmation", "confirmationWasAuthenticated"),
    check=_check_subscription,
    create=_subscribe,
    read=_read_subscription,
    update=_update_subscription,
    delete=lambda s, k: s("sns").unsubscribe(SubscriptionArn=k["arn"]),
)

RESOURCES = (TOPIC, TOPIC_SUBSCRIPTION)
