"""AWS Lambda event source mappings: a queue whose messages call a function."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import code_of
from localcloud.awsplugin.spec import Change, Failures, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

MAPPING = Names("aws:lambda/eventSourceMapping:EventSourceMapping")
_TAGS = TagApi("list_tags", "tag_resource", "untag_resource", "Resource", pair=None)
_SETTINGS = (
    "batchSize",
    "maximumBatchingWindowInSeconds",
    "functionResponseTypes",
    "filterCriteria",
    "scalingConfig",
    "enabled",
)
# What a setting is sent as when it is no longer wanted; the service keeps settings that are left out.
_CLEARED: dict[str, Any] = {
    "batchSize": 10,
    "maximumBatchingWindowInSeconds": 0,
    "functionResponseTypes": [],
    "filterCriteria": {},
    "scalingConfig": {},
    "enabled": True,
}
_OUTPUTS = ("arn", "uuid", "functionArn", "lastModified", "lastProcessingResult", "state", "stateTransitionReason")
_LASTING = {"Enabled": True, "Disabled": False}


def _create(s: Scope, p: Props) -> Props:
    wanted = MAPPING.request(p, "eventSourceArn", "functionName", *_SETTINGS)
    return {"uuid": s("lambda").create_event_source_mapping(**wanted, Tags=p["tags"])["UUID"]}


def _settle(s: Scope, k: Props, p: Props) -> None:
    s.wait(lambda: _live(s, k)["State"] in _LASTING, f"event source mapping {k['uuid']} to take effect")


def _live(s: Scope, k: Props) -> Props:
    if "uuid" in k:
        return s("lambda").get_event_source_mapping(UUID=k["uuid"])
    # One that was made by a creation that was cut off: there is one at most of a queue and a function.
    (found,) = s("lambda").list_event_source_mappings(
        EventSourceArn=k["eventSourceArn"], FunctionName=k["functionName"]
    )["EventSourceMappings"]
    return found


def _read(s: Scope, k: Props) -> Props:
    live = _live(s, k)
    function, known = live["FunctionArn"], k.get("functionName")
    return {
        **MAPPING.state(live, "eventSourceArn", *_SETTINGS[:-1]),
        "functionName": known if known and same_function(known, function) else function,
        "enabled": _LASTING.get(live["State"], True),
        "functionResponseTypes": live.get("FunctionResponseTypes", []),
        "uuid": live["UUID"],
        "arn": live["EventSourceMappingArn"],
        "functionArn": function,
        "lastModified": live["LastModified"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lastProcessingResult": live.get("LastProcessingResult"),
        "state": live["State"],
        "stateTransitionReason": live.get("StateTransitionReason"),
    }


def _update(s: Scope, k: Props, p: Props, change: Change) -> None:
    names = [name for name in ("functionName", *_SETTINGS) if name in change.keys]
    if names:
        cleared = {MAPPING.member(name): _CLEARED[name] for name in names if name not in p}
        s("lambda").update_event_source_mapping(UUID=k["uuid"], **cleared, **MAPPING.request(p, *names))
        _settle(s, k, p)


def _delete(s: Scope, k: Props) -> None:
    client = s("lambda")
    client.delete_event_source_mapping(UUID=k["uuid"])

    def gone() -> bool:
        try:
            client.get_event_source_mapping(UUID=k["uuid"])
        except client.exceptions.ClientError as error:
            if code_of(error) == "ResourceNotFoundException":
                return True
            raise
        return False

    s.wait(gone, f"event source mapping {k['uuid']} to be deleted")


def _check(p: Props) -> Failures:
    found: Failures = []
    source = p.get("eventSourceArn")
    if isinstance(source, str) and ":sqs:" not in source:
        found.append(("eventSourceArn", f"{source!r} is no queue, and the local AWS plugin serves mappings of queues"))
    limits = (("batchSize", 1, 10_000), ("maximumBatchingWindowInSeconds", 0, 300))
    for name, low, high in limits:
        value = p.get(name)
        if isinstance(value, int) and not low <= value <= high:
            found.append((name, f"{value} is not from {low} to {high}"))
    size, window = p.get("batchSize", 10), p.get("maximumBatchingWindowInSeconds", 0)
    if isinstance(size, int) and size > _CLEARED["batchSize"] and window == 0:
        found.append(
            ("maximumBatchingWindowInSeconds", f"a batchSize of {size}, above 10, needs a window of 1 or more")
        )
    return found


def same_function(wanted: Any, live: Any) -> bool:
    """Whether a function's name and its ARN, with or without a version, name the same."""
    return str(live).endswith(f":function:{wanted}") or str(wanted).endswith(f":function:{live}")


RESOURCE_MAPPING = Resource(
    "aws:lambda/eventSourceMapping:EventSourceMapping",
    props={
        "eventSourceArn": Prop(replace=True),
        "functionName": Prop(same=same_function),
        "batchSize": Prop(default=10),
        "maximumBatchingWindowInSeconds": Prop(default=0),
        "functionResponseTypes": Prop(default=[], unordered=True),
        "filterCriteria": Prop(),
        "scalingConfig": Prop(),
        "enabled": Prop(default=True),
    },
    ident="uuid",
    outputs=_OUTPUTS,
    required=("eventSourceArn",),
    identity=("eventSourceArn", "functionName"),
    tags=_TAGS,
    check=_check,
    moves=dict.fromkeys(
        ("functionName", *_SETTINGS), ("functionArn", "lastModified", "state", "stateTransitionReason")
    ),
    create=_create,
    settle=_settle,
    read=_read,
    update=_update,
    delete=_delete,
)

RESOURCES = (RESOURCE_MAPPING,)
