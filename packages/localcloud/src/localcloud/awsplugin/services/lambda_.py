"""AWS Lambda functions, permissions and asynchronous invocation settings."""

from __future__ import annotations

import json
from typing import Any

from localcloud.awsplugin.archives import zip_bytes
from localcloud.awsplugin.cloud import Scope
from localcloud.awsplugin.failures import Failure, InvalidError
from localcloud.awsplugin.spec import Change, Failures, Name, Names, Prop, Resource, TagApi
from localcloud.awsplugin.wire import Props

FUNCTION = Names("aws:lambda/function:Function", {"name": "FunctionName"})
_TAGS = TagApi("list_tags", "tag_resource", "untag_resource", "Resource", pair=None)
_CODE = ("code", "sourceCodeHash", "architectures")
_CODE_OUTPUTS = ("codeSha256", "sourceCodeSize", "lastModified", "version", "qualifiedArn", "qualifiedInvokeArn")
_SETTINGS = (
    "role",
    "handler",
    "runtime",
    "description",
    "memorySize",
    "timeout",
    "environment",
    "deadLetterConfig",
    "tracingConfig",
    "loggingConfig",
    "ephemeralStorage",
)
# What a setting is sent as when it is no longer wanted; the service keeps settings that are left out.
_CLEARED: dict[str, Any] = {
    "environment": {"Variables": {}},
    "deadLetterConfig": {"TargetArn": ""},
    "tracingConfig": {"Mode": "PassThrough"},
    "loggingConfig": {"LogFormat": "Text"},
    "ephemeralStorage": {"Size": 512},
    "description": "",
    "memorySize": 128,
    "timeout": 3,
}


def _create_function(s: Scope, p: Props) -> Props:
    wanted = FUNCTION.request(p, "name", *_SETTINGS, "architectures", "packageType")
    made = s("lambda").create_function(**wanted, Code={"ZipFile": zip_bytes(p["code"])}, Tags=p["tags"])
    return {"arn": made["FunctionArn"]}


def _settle_function(s: Scope, k: Props, p: Props) -> None:
    _wait_function(s, k["name"])
    if p.get("reservedConcurrentExecutions", -1) >= 0:
        _reserve(s, k["name"], p)


def _wait_function(s: Scope, name: str) -> None:
    def usable() -> bool:
        live = s("lambda").get_function_configuration(FunctionName=name)
        for part in ("State", "LastUpdateStatus"):
            if live.get(part) == "Failed":
                raise Failure(f"function {name!r}: {part} is Failed: {live.get(part + 'Reason', 'no reason given')}")
        return live.get("State", "Active") == "Active" and live.get("LastUpdateStatus", "Successful") == "Successful"

    s.wait(usable, f"function {name!r} to become active")


def _reserve(s: Scope, name: str, p: Props) -> None:
    count = p.get("reservedConcurrentExecutions", -1)
    if count >= 0:
        s("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=count)
    else:
        s("lambda").delete_function_concurrency(FunctionName=name)


def _read_function(s: Scope, k: Props) -> Props:
    answer = s("lambda").get_function(FunctionName=k["name"])
    live = answer["Configuration"]
    arn = live["FunctionArn"]
    sha = live["CodeSha256"]
    untouched = k.get("codeSha256") in {None, sha}  # else somebody else put code there, and ours is to be put back
    gateway = f"arn:{s.partition}:apigateway:{s.region}:lambda:path"
    invoke = f"{gateway}/2015-03-31/functions"
    version = live["Version"]
    found = FUNCTION.state(live, "name", *_SETTINGS, "architectures", "packageType")
    if not found.get("deadLetterConfig", {}).get("targetArn"):
        found["deadLetterConfig"] = None
    return {
        **found,
        **({"code": k.get("code")} if untouched else {}),
        "sourceCodeHash": k.get("sourceCodeHash", sha) if untouched else sha,
        "codeSha256": sha,
        "reservedConcurrentExecutions": answer.get("Concurrency", {}).get("ReservedConcurrentExecutions", -1),
        "arn": arn,
        "invokeArn": f"{invoke}/{arn}/invocations",
        "responseStreamingInvokeArn": f"{gateway}/2021-11-15/functions/{arn}/response-streaming-invocations",
        "qualifiedArn": f"{arn}:{version}",
        "qualifiedInvokeArn": f"{invoke}/{arn}:{version}/invocations",
        "version": version,
        "lastModified": live["LastModified"],
        "sourceCodeSize": live["CodeSize"],
    }


def _update_function(s: Scope, k: Props, p: Props, change: Change) -> None:
    client, name = s("lambda"), k["name"]
    settings = [n for n in _SETTINGS if n in change.keys]
    if settings:
        wanted = {**{FUNCTION.member(n): _CLEARED[n] for n in settings if n not in p}, **FUNCTION.request(p, *settings)}
        client.update_function_configuration(FunctionName=name, **wanted)
        _wait_function(s, name)
    if change.any(*_CODE):
        code = zip_bytes(p["code"])
        client.update_function_code(FunctionName=name, ZipFile=code, **FUNCTION.request(p, "architectures"))
        _wait_function(s, name)
    if change.any("reservedConcurrentExecutions"):
        _reserve(s, name, p)


def _check_function(p: Props) -> Failures:
    if p.get("packageType", "Zip") != "Zip":
        return [("packageType", "the local AWS plugin serves functions of package type Zip")]
    found = [(n, f"a function of package type Zip needs {n!r}") for n in ("code", "handler", "runtime") if n not in p]
    limits = (("timeout", 1, 900), ("memorySize", 128, 10240), ("reservedConcurrentExecutions", -1, 1_000_000))
    for name, low, high in limits:
        value = p.get(name)
        if isinstance(value, int) and not low <= value <= high:
            found.append((name, f"{value} is not from {low} to {high}"))
    return found


RESOURCE_FUNCTION = Resource(
    "aws:lambda/function:Function",
    props={
        "name": Prop(replace=True, computed=True),
        "role": Prop(),
        "code": Prop(),
        "sourceCodeHash": Prop(computed=True),
        "handler": Prop(),
        "runtime": Prop(),
        "description": Prop(default=""),
        "memorySize": Prop(default=128),
        "timeout": Prop(default=3),
        "environment": Prop(),
        "reservedConcurrentExecutions": Prop(default=-1),
        "deadLetterConfig": Prop(),
        "tracingConfig": Prop(default={"mode": "PassThrough"}),
        "loggingConfig": Prop(
            computed=True, inner={"applicationLogLevel": ..., "systemLogLevel": ..., "logGroup": ...}
        ),
        "architectures": Prop(default=["x86_64"], one_of=("x86_64", "arm64")),
        "ephemeralStorage": Prop(default={"size": 512}, inner={"size": 512}),
        "packageType": Prop(replace=True, default="Zip"),
        "skipDestroy": Prop(local=True, default=False),
    },
    ident="name",
    outputs=("arn", "invokeArn", "responseStreamingInvokeArn", *_CODE_OUTPUTS),
    name=Name(limit=64),
    tags=_TAGS,
    check=_check_function,
    moves={
        **dict.fromkeys(_CODE, ("sourceCodeHash", *_CODE_OUTPUTS)),
        **dict.fromkeys(_SETTINGS, _CODE_OUTPUTS[2:]),
    },
    create=_create_function,
    settle=_settle_function,
    read=_read_function,
    update=_update_function,
    delete=lambda s, k: s("lambda").delete_function(FunctionName=k["name"]),
)

PERMISSION = Names("aws:lambda/permission:Permission", {"function": "FunctionName"})
_PERMISSION = (
    "action",
    "function",
    "principal",
    "statementId",
    "sourceArn",
    "sourceAccount",
)


def _add_permission(s: Scope, p: Props) -> None:
    s("lambda").add_permission(**PERMISSION.request(p, *_PERMISSION))


def _read_permission(s: Scope, k: Props) -> Props | None:
    policy = json.loads(s("lambda").get_policy(FunctionName=k["function"])["Policy"])
    live = next((item for item in policy["Statement"] if item["Sid"] == k["statementId"]), None)
    if live is None:
        return None
    principal = live["Principal"] if isinstance(live["Principal"], str) else next(iter(live["Principal"].values()))
    conditions = {key.lower(): value for test in live.get("Condition", {}).values() for key, value in test.items()}
    function = k["function"]
    return {
        "function": function,
        "statementId": live["Sid"],
        "action": live["Action"],
        "principal": principal,
        "sourceArn": conditions.get("aws:sourcearn"),
        "sourceAccount": conditions.get("aws:sourceaccount"),
    }


def _parse_permission(ident: str) -> Props:
    """`function/statement`, as imports take it. The id is the statement alone."""
    function, found, statement = ident.rpartition("/")
    if not found:
        raise InvalidError(f"{ident!r} does not name a permission: use function/statement-id")
    return {"function": function, "statementId": statement}


def _remove_permission(s: Scope, k: Props) -> None:
    s("lambda").remove_permission(FunctionName=k["function"], StatementId=k["statementId"])


def same_principal(wanted: Any, live: Any) -> bool:
    """Whether an account number and its root ARN name the same principal."""
    return f":iam::{wanted}:root" in str(live) or f":iam::{live}:root" in str(wanted)


RESOURCE_PERMISSION = Resource(
    "aws:lambda/permission:Permission",
    props={
        **{name: Prop(replace=True) for name in _PERMISSION},
        "principal": Prop(replace=True, same=same_principal),
        "statementId": Prop(replace=True, computed=True),
        "statementIdPrefix": Prop(replace=True, local=True),
    },
    ident="statementId",
    parse=_parse_permission,
    name=Name("statementId", limit=100, prefix="statementIdPrefix"),
    identity=("function",),
    create=_add_permission,
    read=_read_permission,
    delete=_remove_permission,
)

RESOURCES = (RESOURCE_FUNCTION, RESOURCE_PERMISSION)
