"""Amazon EventBridge rules and targets."""

from __future__ import annotations

import re
from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import Failure, InvalidError
from localcloud.awsplugin.spec import Failures, Name, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

RULE = Names("aws:cloudwatch/eventRule:EventRule")
_RULE = ("name", "description", "eventBusName", "eventPattern", "scheduleExpression", "state", "roleArn")
_TAGS = TagApi("list_tags_for_resource", "tag_resource", "untag_resource", "ResourceARN")


def _bus(k: Props) -> str:
    return k.get("eventBusName") or "default"


def _put_rule(s: Scope, p: Props) -> Props:
    return {
        "arn": s("events").put_rule(**{"Description": "", "State": "ENABLED", **RULE.request(p, *_RULE)})["RuleArn"]
    }


def _settle_rule(s: Scope, k: Props, p: Props) -> None:
    if p["tags"]:
        _TAGS.write(s("events"), k, p["tags"])


def _read_rule(s: Scope, k: Props) -> Props:
    live = s("events").describe_rule(Name=k["name"], EventBusName=_bus(k))
    enabled = live.get("State") != "DISABLED"
    return {"arn": live["Arn"], "eventBusName": _bus(k), "isEnabled": enabled, **RULE.state(live, *_RULE)}


def _delete_rule(s: Scope, k: Props) -> None:
    events, where = s("events"), {"Rule": k["name"], "EventBusName": _bus(k)}
    if k.get("forceDestroy"):
        targets = [t["Id"] for t in events.list_targets_by_rule(**where)["Targets"]]
        if targets:
            events.remove_targets(**where, Ids=targets, Force=True)
    events.delete_rule(Name=k["name"], EventBusName=_bus(k), Force=k.get("forceDestroy", False))


def _parse_rule(ident: str) -> Props:
    bus, found, name = ident.rpartition("/")
    return {"eventBusName": bus, "name": name} if found else {"name": ident}


def _check_rule(p: Props) -> Failures:
    if "eventPattern" not in p and "scheduleExpression" not in p:
        return [("eventPattern", "a rule needs 'eventPattern' or 'scheduleExpression'")]
    schedule = p.get("scheduleExpression")
    if isinstance(schedule, str) and not re.fullmatch(r"(rate|cron)\(.+\)", schedule):
        return [("scheduleExpression", f"{schedule!r} is neither rate(...) nor cron(...)")]
    return []


EVENT_RULE = Resource(
    "aws:cloudwatch/eventRule:EventRule",
    props={
        "name": Prop(replace=True, computed=True),
        "namePrefix": Prop(replace=True, local=True),
        "eventBusName": Prop(replace=True, default="default"),
        "description": Prop(default=""),
        "eventPattern": Prop(json=True),
        "scheduleExpression": Prop(),
        "state": Prop(
            default="ENABLED", one_of=("ENABLED", "DISABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")
        ),
        "roleArn": Prop(),
        "forceDestroy": Prop(local=True, default=False),
    },
    ident=lambda k: k["name"] if _bus(k) == "default" else f"{_bus(k)}/{k['name']}",
    parse=_parse_rule,
    identity=("eventBusName",),
    outputs=("arn", "isEnabled"),
    name=Name(limit=64, prefix="namePrefix"),
    tags=_TAGS,
    check=_check_rule,
    moves={"state": ("isEnabled",)},
    create=_put_rule,
    settle=_settle_rule,
    read=_read_rule,
    update=lambda s, k, p, _: _put_rule(s, p),
    delete=_delete_rule,
)

TARGET = Names(
    "aws:cloudwatch/eventTarget:EventTarget",
    {
        "targetId": "Id",
        "inputPaths": "InputPathsMap",
        "sqsTarget": "SqsParameters",
        "sagemakerPipelineTarget": "SageMakerPipelineParameters",
        "pipelineParameterLists": "PipelineParameterList",
    },
)
_TARGET = (
    "targetId",
    "arn",
    "roleArn",
    "input",
    "inputPath",
    "inputTransformer",
    "deadLetterConfig",
    "retryPolicy",
    "sqsTarget",
    "sagemakerPipelineTarget",
)


def _where(k: Props) -> dict[str, Any]:
    return {"Rule": k["rule"], "EventBusName": _bus(k)}


def _put_target(s: Scope, p: Props) -> None:
    answer = s("events").put_targets(**_where(p), Targets=[TARGET.request(p, *_TARGET)])
    if answer.get("FailedEntryCount"):
        first = answer["FailedEntries"][0]
        raise Failure(f"PutTargets: {first.get('ErrorCode')}: {first.get('ErrorMessage')}")


def _read_target(s: Scope, k: Props) -> Props | None:
    answer: Props = {}
    while True:
        token = {"NextToken": answer["NextToken"]} if answer.get("NextToken") else {}
        answer = s("events").list_targets_by_rule(**_where(k), **token)
        for live in answer["Targets"]:
            if live["Id"] == k["targetId"]:
                return {"rule": k["rule"], "eventBusName": _bus(k), **TARGET.state(live, *_TARGET)}
        if not answer.get("NextToken"):
            return None


def _remove_target(s: Scope, k: Props) -> None:
    s("events").remove_targets(**_where(k), Ids=[k["targetId"]], Force=k.get("forceDestroy", False))


def _parse_target(ident: str) -> Props:
    """`rule/target` or `bus/rule/target`, as imports take it. The id itself, `rule-target`, says too little."""
    parts = ident.split("/")
    if len(parts) == 2:
        return {"rule": parts[0], "targetId": parts[1]}
    if len(parts) >= 3:
        return {"eventBusName": "/".join(parts[:-2]), "rule": parts[-2], "targetId": parts[-1]}
    raise InvalidError(f"{ident!r} does not name a target: use rule/target-id, or bus/rule/target-id")


def _target_id(k: Props) -> str:
    start = "" if _bus(k) == "default" else f"{_bus(k)}-"
    return f"{start}{k['rule']}-{k['targetId']}"


def _check_target(p: Props) -> Failures:
    given = [n for n in ("input", "inputPath", "inputTransformer") if n in p]
    if len(given) > 1:
        return [(given[1], f"a target takes one of 'input', 'inputPath' and 'inputTransformer', not {given}")]
    return []


EVENT_TARGET = Resource(
    "aws:cloudwatch/eventTarget:EventTarget",
    props={
        **{name: Prop() for name in _TARGET},
        "rule": Prop(replace=True),
        "eventBusName": Prop(replace=True, default="default"),
        "targetId": Prop(replace=True, computed=True),
        "input": Prop(json=True),
        "forceDestroy": Prop(local=True, default=False),
    },
    ident=_target_id,
    parse=_parse_target,
    name=Name("targetId", limit=64),
    identity=("rule", "eventBusName"),
    check=_check_target,
    create=_put_target,
    read=_read_target,
    update=lambda s, k, p, _: _put_target(s, p),
    delete=_remove_target,
)

RESOURCES = (EVENT_RULE, EVENT_TARGET)
