"""A task of a state machine acts with the rights of the machine's role. ministack performs it with all rights.

A call of an SDK (`aws-sdk:`) is dispatched like a client's request, signed by a session of the role. For an optimized
integration and the datasets of a map, the same rights are checked first.

Source: AWS Step Functions developer guide, "How Step Functions generates IAM policies for integrated services" and
"Handling errors": `States.Permissions`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from ministack import app
from ministack.core.responses import get_account_id, get_region
from ministack.services import stepfunctions, sts

from localcloud.server.dependent_actions import Need
from localcloud.server.gateway import checks
from localcloud.server.platform import Answer, RoleRefused
from localcloud.server.refusals import Asked, refusal
from localcloud.server.requests import BadRequest, Request
from localcloud.server.roles import begin_session, trusting

_PRINCIPAL = "states.amazonaws.com"
_SECONDS = 3600.0
_DEPTH = 1000
"""Python's own limit of recursion. jsonata, which ministack imports for state machines, raises it to ten times that for
the whole process: a request that is nested so deeply must be refused, as it may take more than a thread's stack."""
_INTEGRATION = re.compile(
    r"arn:aws:states:::(?:aws-sdk:)?([a-z0-9]+):([a-zA-Z0-9]+)(?:\.sync(?::2)?|\.waitForTaskToken)?"
)
_FUNCTION = re.compile(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?", re.ASCII)
_ACTIVITY = re.compile(r"arn:aws:states:[a-z0-9-]+:\d{12}:activity:[^:]+")
_OPTIMIZED = {"dynamodb", "events", "lambda", "sns", "sqs", "states"}

_role = ContextVar("role", default="")
_machine = ContextVar("machine", default="")
_key = ContextVar("key", default="")
"""Of the session by which an SDK call is made; empty outside of one."""


def install() -> None:
    """Have each task checked."""
    sys.setrecursionlimit(_DEPTH)
    for name in ("_execute_task", "_run_map_items"):
        setattr(stepfunctions, name, _with_role(getattr(stepfunctions, name)))
    for name in ("_invoke_resource", "_invoke_with_callback"):
        setattr(stepfunctions, name, _checked(getattr(stepfunctions, name)))
    _sign_sdk_calls()
    _check_datasets()


def _with_role(run: Callable[..., Any]) -> Callable[..., Any]:
    def with_role(state: Any, given: Any, execution: Any, context: Mapping[str, Any]) -> Any:
        arn = context["StateMachine"]["Id"]
        machine = stepfunctions._state_machines.get(arn) or {}
        tokens = _machine.set(arn), _role.set(machine.get("roleArn", ""))
        try:
            return run(state, given, execution, context)
        finally:
            _machine.reset(tokens[0])
            _role.reset(tokens[1])

    return with_role


def _checked(invoke: Callable[..., Any]) -> Callable[..., Any]:
    def checked(resource: str, given: Any, *more: Any) -> Any:
        try:
            if call := request_of(resource, given):
                _require(call.service, checks(call, get_region()))
        except BadRequest as error:
            raise stepfunctions._ExecutionError("States.Runtime", str(error)) from None
        return invoke(resource, given, *more)

    return checked


def request_of(resource: str, given: Any) -> Request | None:
    """The request that a task makes by itself; None if it makes none, or makes it as a client of an SDK does.

    Raises:
        BadRequest: The resource is no ARN of a task that is served, or its arguments are no object.
    """
    if _FUNCTION.fullmatch(resource):
        return Request("Invoke", {"FunctionName": resource}, "lambda")
    if _ACTIVITY.fullmatch(resource):
        return None  # its worker asks for it, with the worker's rights
    named = _INTEGRATION.fullmatch(resource)
    if named and ":aws-sdk:" in resource:
        return None
    if not named or named[1] not in _OPTIMIZED:
        allowed = f"a function, an activity, aws-sdk, or one of {', '.join(sorted(_OPTIMIZED))}"
        raise BadRequest(
            "InvalidDefinition", f"Resource {resource!r} is not served by the local cloud: expected {allowed}"
        )
    if not isinstance(given, Mapping):
        raise BadRequest("InvalidDefinition", f"the arguments of {resource} are {given!r}: expected an object")
    if named[1] == "states":
        given = {"stateMachineArn": given.get("StateMachineArn") or given.get("stateMachineArn")}
    return Request(named[2][:1].upper() + named[2][1:], given, named[1])


def _require(service: str, needs: Iterator[Need]) -> None:
    with _session() as key:
        credential = f"Credential={key}/20000101/{get_region()}/{service}/aws4_request"
        asked = Asked(service, {"authorization": f"AWS4-HMAC-SHA256 {credential}"}, {})
        for action, arn, context in needs:
            if refusal(asked, action, arn, context):
                text = f"{_role.get()} is not authorized to perform: {action} on resource: {arn}"
                raise stepfunctions._ExecutionError("States.Permissions", text)


@contextmanager
def _session() -> Iterator[str]:
    """The key of a session of the role, which ends with the task's call."""
    account = get_account_id()
    try:
        role = trusting(_role.get(), _PRINCIPAL, _machine.get(), account, get_region())
    except RoleRefused as error:
        raise stepfunctions._ExecutionError("States.Permissions", str(error)) from None
    key = begin_session(role, uuid4().hex, account, _SECONDS).access_key
    try:
        yield key
    finally:
        sts._sessions.pop(key, None)


def _sign_sdk_calls() -> None:
    invoke, call = stepfunctions._invoke_aws_sdk_integration, app.call_service_handler_sync
    stepfunctions._AWS_SDK_SERVICE_MAP["sqs"] = {"target_prefix": "AmazonSQS", "protocol": "json"}

    def invoke_aws_sdk_integration(resource: str, given: Any) -> Any:
        with _session() as key:
            token = _key.set(key)
            try:
                return invoke(resource, given)
            finally:
                _key.reset(token)

    async def dispatch(*sent: Any) -> Answer:
        _key.set("")  # what the service itself does further is not the role's
        answer: Answer = await app._dispatch_service_request(*sent, str(uuid4()))
        return answer

    def call_service_handler_sync(handler: Any, *sent: Any) -> Any:
        if not (key := _key.get()):
            return call(handler, *sent)
        method, path, headers, body, query = sent
        scope = f"AWS4-HMAC-SHA256 Credential={key}/20000101/{get_region()}/"
        service = headers["host"].partition(".")[0]
        signed = {**headers, "authorization": f"{scope}{service}/aws4_request"}
        data = body.encode() if isinstance(body, str) else body
        lists = {name: [value] if isinstance(value, str) else value for name, value in query.items()}
        return call(dispatch, method, path, signed, data, lists)

    stepfunctions._invoke_aws_sdk_integration = invoke_aws_sdk_integration
    app.call_service_handler_sync = call_service_handler_sync


def _check_datasets() -> None:
    read, list_items = stepfunctions._s3_object_text, stepfunctions._read_map_items

    def s3_object_text(bucket: Any, key: Any) -> Any:
        _require("s3", iter([("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}", {})]))
        return read(bucket, key)

    def read_map_items(reader: Mapping[str, Any], effective: Any, context: Any) -> Any:
        if reader.get("Resource", "").endswith("listObjectsV2"):
            given = reader.get("Parameters") or reader.get("Arguments") or {}
            bucket = stepfunctions._resolve_params_obj(given, effective, context).get("Bucket")
            _require("s3", iter([("s3:ListBucket", f"arn:aws:s3:::{bucket}", {})]))
        return list_items(reader, effective, context)

    stepfunctions._s3_object_text, stepfunctions._read_map_items = s3_object_text, read_map_items
