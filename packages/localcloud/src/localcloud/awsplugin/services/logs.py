"""Amazon CloudWatch Logs groups."""

from __future__ import annotations

from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.spec import Change, Name, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

_TAGS = TagApi(
    "list_tags_for_resource", "tag_resource", "untag_resource", "resourceArn", tags="tags", names="tagKeys", pair=None
)
# Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
_DAYS = (0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)


def _create_group(s: Scope, p: Props) -> Props:
    wanted: dict[str, Any] = {"logGroupName": p["name"]}
    if "kmsKeyId" in p:
        wanted["kmsKeyId"] = p["kmsKeyId"]
    if "logGroupClass" in p:
        wanted["logGroupClass"] = p["logGroupClass"]
    if p["tags"]:
        wanted["tags"] = _TAGS.pack(p["tags"])
    s("logs").create_log_group(**wanted)
    return {"arn": s.arn("logs", f"log-group:{p['name']}")}


def _settle_group(s: Scope, k: Props, p: Props) -> None:
    if p.get("retentionInDays"):
        _set_retention(s, k["name"], p)


def _set_retention(s: Scope, name: str, p: Props) -> None:
    if p.get("retentionInDays"):
        s("logs").put_retention_policy(logGroupName=name, retentionInDays=p["retentionInDays"])
    else:
        s("logs").delete_retention_policy(logGroupName=name)


def _read_group(s: Scope, k: Props) -> Props | None:
    for page in s("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=k["name"]):
        for live in page["logGroups"]:
            if live["logGroupName"] == k["name"]:
                return {
                    "name": live["logGroupName"],
                    "arn": live["arn"].removesuffix(":*"),
                    "retentionInDays": live.get("retentionInDays", 0),
                    "kmsKeyId": live.get("kmsKeyId"),
                    "logGroupClass": live.get("logGroupClass", "STANDARD"),
                }
    return None


def _update_group(s: Scope, k: Props, p: Props, change: Change) -> None:
    if change.any("retentionInDays"):
        _set_retention(s, k["name"], p)
    if change.any("kmsKeyId"):
        if p.get("kmsKeyId"):
            s("logs").associate_kms_key(logGroupName=k["name"], kmsKeyId=p["kmsKeyId"])
        else:
            s("logs").disassociate_kms_key(logGroupName=k["name"])


LOG_GROUP = Resource(
    "aws:cloudwatch/logGroup:LogGroup",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "retentionInDays": Prop(default=0, one_of=_DAYS),
        "kmsKeyId": Prop(),
        "logGroupClass": Prop(replace=True, default="STANDARD", one_of=("STANDARD", "INFREQUENT_ACCESS", "DELIVERY")),
        "skipDestroy": Prop(local=True, default=False),
    },
    ident="name",
    outputs=("arn",),
    name=Name(limit=512, prefix="namePrefix"),
    tags=_TAGS,
    create=_create_group,
    settle=_settle_group,
    read=_read_group,
    update=_update_group,
    delete=lambda s, k: s("logs").delete_log_group(logGroupName=k["name"]),
)

RESOURCES = (LOG_GROUP,)
