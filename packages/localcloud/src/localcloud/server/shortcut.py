"""How does an invocation reach its endpoint without a look at all that other services need?

Nearly all requests to a cloud that serves a model are InvokeEndpoint. ministack looks at each request for every service
in turn, which takes longer than all else. An invocation in the form that AWS's SDKs give it can be told by its head.
It needs two things only: that the caller may make it, and its handler.

A request is let in here, never refused. What is not let in goes the general way, which knows all forms of a request and
words every refusal. Whether a caller may invoke is asked of ministack anew for each request, by the same function as on
the general way. So a policy or a key that is taken away is gone for the next request.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from email.utils import formatdate

from ministack import app as ministack_app
from ministack.core import iam_evaluator, responses, router

from localcloud.server import authorization, requests
from localcloud.server.messages import App, Receive, Scope, Send, again, body_of
from localcloud.server.platform import Answer
from localcloud.server.regions import Handle

_PATH = re.compile(rb"/endpoints/[A-Za-z0-9-]+/invocations")
_HOST = re.compile(r"(127\.0\.0\.1|localhost)(:\d+)?")
_SIGNED = re.compile(r"AWS4-HMAC-SHA256 Credential=([^/]+)/\d{8}/([^/]+)/sagemaker/aws4_request,")
_FORMS = {"content-encoding", "transfer-encoding", "x-amz-target", "x-amz-decoded-content-length"}
"""Headers that say in what form a body comes, or name another operation."""

log = logging.getLogger("localcloud.shortcut")


class Shortcut:
    """The short way of one cloud.

    Args:
        handle: SageMaker's handler.
        started: Set once it may be asked.
        general: Serves every other request.
    """

    def __init__(self, handle: Handle, started: asyncio.Event, general: App) -> None:
        self._handle = handle
        self._started = started
        self._general = general
        self._date = (0, "")

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer an invocation that may be made, and hand on any other request."""
        headers = _plain_headers(scope) if self._started.is_set() else None
        if headers is None:
            await self._general(scope, receive, send)
            return
        body = await body_of(receive)
        if body is None:
            return  # the client has gone
        if not _may_invoke(scope, headers, body):
            await self._general(scope, again(body, receive), send)
            return
        await self._answer(send, *await self._handled(scope["path"], headers, body))

    async def _handled(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        try:
            return await self._handle("POST", path, headers, body, {})
        except Exception as error:
            log.exception("POST %s failed", path)
            failure = json.dumps({"__type": "InternalError", "message": str(error)})
            return 500, {"Content-Type": "application/json"}, failure.encode()

    async def _answer(self, send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
        more = {"x-amzn-RequestId": str(uuid.uuid4()), "Date": self._today(), "Content-Length": str(len(body))}
        lines = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in (headers | more).items()]
        await send({"type": "http.response.start", "status": status, "headers": lines})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    def _today(self) -> str:
        now = int(time.time())
        if now != self._date[0]:
            self._date = now, formatdate(now, usegmt=True)
        return self._date[1]


def _plain_headers(scope: Scope) -> dict[str, str] | None:
    """The headers of an invocation in the plain form, by lower-case name; None for any other request."""
    if scope["method"] != "POST" or scope["query_string"] or not _PATH.fullmatch(scope["raw_path"]):
        return None
    try:
        headers = {name.decode("ascii"): value.decode("ascii") for name, value in scope["headers"]}
    except UnicodeDecodeError:
        return None
    plain = (
        len(headers) == len(scope["headers"])
        and _FORMS.isdisjoint(headers)
        and "content-length" in headers
        and not headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        and _HOST.fullmatch(headers.get("host", ""))
        and _SIGNED.match(headers.get("authorization", ""))
    )
    return headers if plain else None


def _may_invoke(scope: Scope, headers: dict[str, str], body: bytes) -> bool:
    """Whether the caller has signed this very request, and a policy lets it; asked as ministack's `app` asks."""
    key, region = router.extract_access_key_id(headers), router.extract_region(headers)
    try:
        asked = requests.read("sagemaker", requests.Sent("POST", scope["path"], headers, body, {}))
        responses.set_request_account_id(ministack_app._request_account_scope(key))
        responses.set_request_region(region)
        ministack_app.pin_request_origin((scope.get("client") or ("127.0.0.1",))[0], False)
        iam_evaluator.pin_signed_request("POST", scope["raw_path"].decode("ascii"), {}, scope["headers"])
        iam_evaluator.pin_signed_body(body)
        [resource] = authorization.sagemaker_resources(asked, region, responses.get_account_id())
        action = f"sagemaker:{asked.action}"
        refusal = iam_evaluator.enforce(key, action, "sagemaker", region, resource_arn=resource, service_context={})
    except Exception:  # the general way meets it again, and tells of it
        return False
    return refusal is None
