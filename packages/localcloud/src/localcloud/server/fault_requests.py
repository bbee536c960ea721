"""How faults come in, and how a call of an operation goes wrong.

`GET`, `POST` and `DELETE` at `PATH` list, add and clear faults (`?id=fault-3` clears one). Who asks
has shown a token (`doors`).
"""

from __future__ import annotations

import asyncio
import json
import uuid
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from ministack import app
from ministack.core import iam_actions, iam_evaluator, responses, router

from localcloud.server import requests
from localcloud.server.faults import Fault, FaultError, Faults
from localcloud.server.messages import App, Message, Receive, Scope, Send, again, body_of

PATH = "/_localcloud/faults"


async def control(faults: Faults, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request at `PATH`."""
    method = scope["method"]
    if method == "GET":
        await _answer(send, 200, {"faults": [fault.as_dict() for fault in faults.all()]})
    elif method == "POST":
        try:
            document = json.loads(await body_of(receive) or b"")
            if not isinstance(document, dict):
                raise FaultError("the body is no JSON object")
            fault = faults.add(document)
        except ValueError as error:
            await _answer(send, 400, {"message": f"the body is not JSON: {error}"})
        except FaultError as error:
            await _answer(send, 400, {"message": str(error)})
        else:
            await _answer(send, 200, fault.as_dict())
    elif method == "DELETE":
        asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("id", [None])[0]
        ended = faults.clear(asked)
        missing = asked is not None and not ended
        await _answer(
            send, 404 if missing else 200, {"message": f"no fault {asked}"} if missing else {"cleared": ended}
        )
    else:
        await _answer(send, 405, {"message": f"{method} is not allowed; GET, POST and DELETE are"})


async def pass_through(faults: Faults, serve: App, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request, unless a fault hits it."""
    body = await body_of(receive)
    if body is None:
        return
    account, service, operation, headers = _named(scope, body)
    fault = faults.of_call(account, service, operation, body)
    if fault is None:
        await serve(scope, again(body, receive), send)
    elif fault.effect in {"throttle", "error"}:
        await _refuse(fault, service, operation, headers, send)
    else:
        if fault.effect == "drop_after":
            await serve(scope, again(body, receive), _swallow)
        await asyncio.sleep(fault.seconds)
        # A chunked answer whose end never comes: the server closes the connection, and no client takes it for one.
        start = {"type": "http.response.start", "status": 500, "headers": []}
        await send(start)


def _named(scope: Scope, body: bytes) -> tuple[str, str, str, dict[str, str]]:
    """The caller's account, the router's name of the service, the operation, and the headers of a request."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    parameters: dict[str, Any] = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    if "x-www-form-urlencoded" in headers.get("content-type", ""):
        parameters = {**parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True), **parameters}
    method, path = scope["method"], scope["path"]
    service = router.detect_service(method, path, headers, parameters)
    account = _account_of(router.extract_access_key_id(headers, parameters))
    action = requests.name_of(path, headers, parameters)
    if action is None:
        action = (iam_actions.extract_iam_action(service, method, path, headers, body, parameters) or "").rpartition(
            ":"
        )[2]
    return account, service, action, headers


def _account_of(access_key_id: str) -> str:
    """The account of a key, as ministack finds it for the request itself."""
    with responses.request_scope(responses.get_account_id(), responses.get_region()):
        with suppress(iam_evaluator.AmbiguousAccessKeyError):
            responses.set_request_account_id(app._request_account_scope(access_key_id))
        return responses.get_account_id()


async def _refuse(fault: Fault, service: str, operation: str, headers: dict[str, str], send: Send) -> None:
    throttled = fault.effect == "throttle"
    code, status = ("ThrottlingException", 400) if throttled else ("InternalFailure", 500)
    if operation.startswith("InvokeEndpoint") and throttled:
        status = 429
    text = "Rate exceeded" if throttled else f"{operation} failed, as fault {fault.id} asks."
    _, answered, body = iam_actions.access_denied_response(
        service, "", "", str(uuid.uuid4()), error_code=code, message=text, headers=headers
    )
    if headers.get("x-amz-target") or service in {"sagemaker", "lambda", "scheduler"}:
        answered = {**answered, "x-amzn-ErrorType": code}
    await _send(send, status, body, answered)


async def _swallow(message: Message) -> None:
    del message


async def _answer(send: Send, status: int, document: dict[str, Any]) -> None:
    await _send(send, status, json.dumps(document).encode(), {"content-type": "application/json"})


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    named = {name.lower(): value for name, value in headers.items()} | {"content-length": str(len(body))}
    shown = [(name.encode(), value.encode()) for name, value in named.items()]
    await send({"type": "http.response.start", "status": status, "headers": shown})
    await send({"type": "http.response.body", "body": body, "more_body": False})
