"""The ASGI application: ministack's, with writes made durable and its doors to the outside shut."""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from ministack import app as ministack_app
from ministack.core import iam_actions, router

from localcloud.server import fault_requests, requests
from localcloud.server.doors import Doors
from localcloud.server.durability import Durability, Touched, failures, touched
from localcloud.server.faults import Faults
from localcloud.server.messages import App, Message, Receive, Scope, Send
from localcloud.server.shortcut import Shortcut
from localcloud.server.statefiles import NotSaved

log = logging.getLogger("localcloud.asgi")

STATUS_PATH = "/_localcloud/status"
DASHBOARDS_PATH = "/_localcloud/dashboards/"

_CLOSED = re.compile(r"/_(?!localcloud/|ministack/(health$|ready$|lambda-code/|lambda-layers/))")
_LOOPBACK = re.compile(r"(127\.0\.0\.1|\[::1\]|([\w.-]+\.)?localhost)(:\d+)?")


def application(
    durability: Durability,
    status: Callable[[], dict[str, Any]],
    lifespan: App,
    dashboard: Callable[[str, str], Awaitable[str | None]],
    *,
    shortcut: Callable[[App], Shortcut],
    faults: Faults,
    doors: Doors,
) -> App:
    """Wrap ministack's application.

    Args:
        durability: Asked to save what a request changed before its answer leaves.
        status: Content of the answer at `STATUS_PATH`.
        lifespan: Takes the server's start and stop.
        dashboard: The body of a CloudWatch dashboard by its name and its account (the cloud's own if none is given),
            or None, for a person who opens its URL.
        shortcut: Makes the short way of invocations, given the way of all other requests.
        faults: What shall go wrong; asked and told at `fault_requests.PATH`.
        doors: Tells who may pass where AWS asks for no signature.
    """

    async def general(scope: Scope, receive: Receive, send: Send) -> None:
        await _durably(durability, scope, receive, send)

    serve = shortcut(general).serve

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] == STATUS_PATH:
            await _answer(send, 200, json.dumps(status()).encode())
        elif scope["type"] == "http" and (reason := _refusal(scope, doors)):
            await _answer(send, 403, json.dumps({"message": reason}).encode())
        elif scope["type"] == "http" and scope["method"] == "GET" and scope["path"].startswith(DASHBOARDS_PATH):
            name = scope["path"].removeprefix(DASHBOARDS_PATH)
            asked = parse_qs(scope.get("query_string", b"").decode("latin-1"))
            body = await dashboard(name, asked.get("account", [""])[0])
            missing = json.dumps({"message": f"there is no dashboard {name!r}"})
            await _answer(send, 404 if body is None else 200, (body or missing).encode())
        elif scope["type"] == "http" and scope["path"] == fault_requests.PATH:
            await fault_requests.control(faults, scope, receive, send)
        elif scope["type"] == "http" and faults.of_apis:
            await fault_requests.pass_through(faults, serve, scope, receive, send)
        elif scope["type"] == "http":
            await serve(scope, receive, send)
        else:
            await ministack_app.app(scope, receive, send)

    return app


def _refusal(scope: Scope, doors: Doors) -> str | None:
    """Why a request is not let in, whatever it is signed with."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    if not _LOOPBACK.fullmatch(headers.get(b"host", "").lower()):
        return f"the local cloud is reached as 127.0.0.1 or localhost only, not as {headers.get(b'host', '')!r}"
    if b"origin" in headers or headers.get(b"sec-fetch-site", "none") != "none":
        return "the local cloud does not answer web pages"
    if _CLOSED.match(scope["path"]):
        return f"{scope['path']} is closed here: it takes no signature"
    if not doors.opens_link(scope["path"], scope.get("query_string", b"")):
        return "the link has expired, or was not given out by this cloud"
    if scope["path"] == fault_requests.PATH and not doors.opens_faults(headers.get(b"authorization", "")):
        return f"{scope['path']} takes a token that is made from root's secret: use the command `localcloud faults`"
    return None


async def _durably(durability: Durability, scope: Scope, receive: Receive, send: Send) -> None:
    request = _Request(scope)
    failed: list[OSError] = []
    failures.set(failed)
    refused = begun = False

    async def send_once_saved(message: Message) -> None:
        nonlocal refused, begun
        if refused:
            return
        if message["type"] == "http.response.start":
            try:
                await durability.settle(request.touched())
                if failed:
                    raise NotSaved(f"the request's data cannot be saved: {failed[0].strerror}")
            except NotSaved as error:
                log.error("%s %s: %s", scope["method"], scope["path"], error)
                refused = True
                await _answer(send, *request.failure(str(error)))
                return
        begun = True
        await send(message)

    try:
        await ministack_app.app(scope, request.overhear(receive), send_once_saved)
    except RecursionError:
        await _answer(
            send, *request.failure("the request is nested too deeply to be read", "SerializationException", 400)
        )
    except Exception as error:
        if begun:
            raise
        log.exception("%s %s failed", scope["method"], scope["path"])
        await _answer(send, *request.failure(f"{type(error).__name__}: {error}"))


class _Request:
    """What a request is about, read from its head and, for forms, from its body."""

    def __init__(self, scope: Scope) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        self.query = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
        self._is_form = "x-www-form-urlencoded" in self.headers.get("content-type", "")
        self._body = bytearray()

    def overhear(self, receive: Receive) -> Receive:
        """Keep the body of a form, which names the operation."""
        if not self._is_form:
            return receive

        async def overheard() -> Message:
            message = await receive()
            self._body.extend(message.get("body", b""))
            return message

        return overheard

    def service(self) -> str:
        """The router's name of the service."""
        if ministack_app._is_ecr_registry_path(self.path):
            return "ecr"
        return router.detect_service(self.method, self.path, self.headers, self._parameters())

    def touched(self) -> Touched:
        """What this request may have changed."""
        if self.method in ("GET", "HEAD", "OPTIONS") and "Action" not in self.query:
            return Touched()
        return touched(
            self.service(), self.method, self.path, requests.name_of(self.path, self.headers, self._parameters())
        )

    def failure(self, text: str, code: str = "InternalFailure", status: int = 500) -> tuple[int, bytes, str]:
        """Status, body and content type of a failure in the service's own form."""
        _, headers, body = iam_actions.access_denied_response(
            self.service(),
            "",
            "",
            str(uuid.uuid4()),
            error_code=code,
            message=text,
            headers=self.headers,
        )
        return status, body, headers["Content-Type"]

    def _parameters(self) -> dict[str, Any]:
        form = parse_qs(self._body.decode("utf-8", "replace"), keep_blank_values=True) if self._is_form else {}
        return {**form, **self.query}


async def _answer(send: Send, status: int, body: bytes, content_type: str = "application/json") -> None:
    headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
