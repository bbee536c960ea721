"""Amazon EventBridge Scheduler schedules."""

from __future__ import annotations

import re
from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.spec import Failures, Name, Names, Prop, Resource
from localcloud.awsplugin.wire import Props

SCHEDULE = Names("aws:scheduler/schedule:Schedule")
_PROPS = (
    "name",
    "groupName",
    "description",
    "scheduleExpression",
    "scheduleExpressionTimezone",
    "flexibleTimeWindow",
    "target",
    "state",
    "actionAfterCompletion",
)
_OTHER_TARGETS = (
    "ecsParameters",
    "eventbridgeParameters",
    "kinesisParameters",
    "sagemakerPipelineParameters",
    "sqsParameters",
)


def _group(k: Props) -> str:
    return k.get("groupName") or "default"


def _create(s: Scope, p: Props) -> Props:
    return {"arn": s("scheduler").create_schedule(**SCHEDULE.request(p, *_PROPS))["ScheduleArn"]}


def _read(s: Scope, k: Props) -> Props:
    live = s("scheduler").get_schedule(Name=k["name"], GroupName=_group(k))
    return {"arn": live["Arn"], **SCHEDULE.state(live, *_PROPS)}


def _update(s: Scope, k: Props, p: Props, change: Any) -> None:
    """A schedule is replaced as a whole: what the request leaves out falls back to its default."""
    s("scheduler").update_schedule(**SCHEDULE.request(p, *_PROPS))


def _parse(ident: str) -> Props:
    """`group/name`, or the name of one in the default group."""
    group, _, name = ident.rpartition("/")
    return {"groupName": group or "default", "name": name}


def _check(p: Props) -> Failures:
    schedule = p.get("scheduleExpression")
    if isinstance(schedule, str) and not re.fullmatch(r"(rate|cron|at)\(.+\)", schedule):
        return [("scheduleExpression", f"{schedule!r} is none of rate(...), cron(...) and at(...)")]
    return []


RESOURCES = (
    Resource(
        "aws:scheduler/schedule:Schedule",
        props={
            "name": Prop(replace=True, computed=True),
            "namePrefix": Prop(replace=True, local=True),
            "groupName": Prop(replace=True, default="default"),
            "description": Prop(default=""),
            "scheduleExpression": Prop(),
            "scheduleExpressionTimezone": Prop(default="UTC"),
            "flexibleTimeWindow": Prop(),
            "target": Prop(
                inner={"retryPolicy": {"maximumEventAgeInSeconds": 86400, "maximumRetryAttempts": 185}},
                without=_OTHER_TARGETS,
            ),
            "state": Prop(default="ENABLED", one_of=("ENABLED", "DISABLED")),
            "actionAfterCompletion": Prop(default="NONE", one_of=("NONE", "DELETE")),
        },
        ident=lambda k: f"{_group(k)}/{k['name']}",
        parse=_parse,
        identity=("groupName",),
        outputs=("arn",),
        name=Name(limit=64, prefix="namePrefix"),
        check=_check,
        create=_create,
        read=_read,
        update=_update,
        delete=lambda s, k: s("scheduler").delete_schedule(Name=k["name"], GroupName=_group(k)),
    ),
)
