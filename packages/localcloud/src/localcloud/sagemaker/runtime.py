"""How is an endpoint invoked? Checked, routed to a variant, and copied to the shadow variant if there is one."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable
from urllib.parse import unquote

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.deployment import Variant
from localcloud.sagemaker.errors import ApiError
from localcloud.sagemaker.exchanges import MOST_BYTES, Call, Exchanges
from localcloud.sagemaker.routing import Live, Routes
from localcloud.sagemaker.service_models import service_model
from localcloud.server import background, shapes
from localcloud.server.platform import Answer

_PATH = re.compile(r"^/endpoints/([^/]+)/(invocations(?:-response-stream)?|async-invocations)$")
_OPERATIONS = {
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
REFUSED = {"TargetModel", "TargetContainerHostname", "EnableExplanations", "InferenceComponentName", "SessionId"}
REFUSED |= {"PrefixAwareId"}
"""Members of InvokeEndpoint that are refused."""
_TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
_MOST_COPIES = (
    256  # on their way to shadow variants at once; what comes beyond is not copied, so that memory has an end
)
_log = logging.getLogger(__name__)


def is_runtime(path: str) -> bool:
    """Whether a path belongs to the SageMaker runtime."""
    return _PATH.match(path) is not None


class Runtime:
    """InvokeEndpoint.

    Args:
        account: Whose endpoints these are.
        live: Answers the live endpoint of a name, or None.
        exchanges: Puts calls to variants.
    """

    def __init__(self, account: Account, live: Callable[[str], Live | None], exchanges: Exchanges) -> None:
        self._account = account
        self._live = live
        self._exchanges = exchanges
        self._copies: set[asyncio.Task[None]] = set()
        shape = service_model("sagemaker-runtime", ("InvokeEndpoint",)).operation_model("InvokeEndpoint").input_shape
        self._members = [
            (name, member.serialization["name"].lower(), member, shapes.fits(member))
            for name, member in shape.members.items()
            if member.serialization.get("location") == "header"
        ]

    async def stop(self) -> None:
        """Give up the copies that are on their way to shadow variants."""
        for task in self._copies:
            task.cancel()
        await asyncio.gather(*self._copies, return_exceptions=True)

    async def handle(self, path: str, headers: dict[str, str], body: bytes) -> Answer:
        """Answer one request to `/endpoints/...`.

        Args:
            path: As sent.
            headers: With lower-case names.
            body: The payload.
        """
        begun = time.perf_counter()
        try:
            return await self._invoke(path, headers, body, begun)
        except ApiError as error:
            document = {"Message": error.message, **error.members}
            return (
                error.status,
                {"Content-Type": "application/json", "x-amzn-ErrorType": error.code},
                json.dumps(document).encode(),
            )

    async def _invoke(self, path: str, headers: dict[str, str], body: bytes, begun: float) -> Answer:
        found = _PATH.match(path)
        if found is None or found[2] in _OPERATIONS:
            operation = _OPERATIONS[found[2]] if found else path
            raise ApiError("ValidationError", f"The local SageMaker does not implement {operation}.")
        name = unquote(found[1])
        self._validate(headers, body)
        live = self._live(name)
        if live is None:
            raise ApiError("ValidationError", f"Endpoint {name} of account {self._account.account} not found.")
        side = live.draw()
        variant = _route(side.routes, name, headers.get(_TARGET_VARIANT))
        shadow = side.routes.copied()
        if shadow is not None:
            self._copy(Call(name, shadow, side, headers, body, begun))
        return await self._exchanges.answer(Call(name, variant, side, headers, body, begun))

    def _copy(self, call: Call) -> None:
        """Send a copy to the shadow variant; nobody waits for its answer, which is counted and captured."""
        if len(self._copies) >= _MOST_COPIES:
            _log.warning("a request of %s was not copied: %d copies are on their way", call.endpoint, _MOST_COPIES)
            return
        task = background.begin(self._put(call), f"copy of a request to shadow variant {call.variant.name}")
        self._copies.add(task)
        task.add_done_callback(self._copies.discard)

    async def _put(self, call: Call) -> None:
        try:
            await self._exchanges.answer(call)
        except ApiError as error:
            _log.debug("shadow variant %s of %s: %s", call.variant.name, call.endpoint, error.message)

    def _validate(self, headers: dict[str, str], body: bytes) -> None:
        if len(body) > MOST_BYTES:
            # Refused by AWS's front door, which speaks no SageMaker: SDKs show "An error occurred (413)".
            raise ApiError("413", f"HTTP content length exceeded {MOST_BYTES} bytes.", 413)
        broken: list[str] = []
        for name, header, shape, fits in self._members:
            value = headers.get(header)
            if value is None:
                continue
            if name in REFUSED:
                raise ApiError("ValidationError", f"The local SageMaker does not support {name} in InvokeEndpoint.")
            if not fits(value):
                found = shapes.validate(shape, value)
                broken += [message.replace("Value", f"Value of {name}:", 1) for message in found]
        if broken:
            raise ApiError("ValidationError", shapes.summary(broken))


def _route(routes: Routes, endpoint: str, target: str | None) -> Variant:
    if target is None:
        drawn = routes.draw()
        if drawn is None:
            raise ApiError("ServiceUnavailable", f"No variant of endpoint {endpoint} has weight.", 503)
        return drawn
    named = routes.named(target)
    if named is None:
        raise ApiError("ValidationError", f"Variant {target} of endpoint {endpoint} not found.")
    return named
