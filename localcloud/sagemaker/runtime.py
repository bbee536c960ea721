"""How is an endpoint invoked? Routed to an instance, answered, counted and captured."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.capture import Capture, Exchange
from localcloud.sagemaker.client import NoAnswer, Reply, TooLarge
from localcloud.sagemaker.deployment import Variant
from localcloud.sagemaker.errors import ApiError
from localcloud.sagemaker.fleet import Fleet
from localcloud.sagemaker.logs import group_of
from localcloud.sagemaker.routing import Routes
from localcloud.sagemaker.service_models import service_model
from localcloud.server import shapes
from localcloud.server.platform import Answer, Datum, MetricSink

NAMESPACE = "AWS/SageMaker"

# The developer guide's limit for real-time inference; the service model still names 6 MB, which nobody enforces.
_MOST_BYTES = 25 * 1024 * 1024
_PATH = re.compile(r"^/endpoints/([^/]+)/(invocations(?:-response-stream)?|async-invocations)$")
_OPERATIONS = {
    "invocations-response-stream": "InvokeEndpointWithResponseStream",
    "async-invocations": "InvokeEndpointAsync",
}
_REFUSED = {"TargetModel", "TargetContainerHostname", "EnableExplanations", "InferenceComponentName", "SessionId"}
_REFUSED |= {"PrefixAwareId"}
_CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_INFERENCE_ID = "x-amzn-sagemaker-inference-id"
_TARGET_VARIANT = "x-amzn-sagemaker-target-variant"
_FORWARDED = {"content-type": "Content-Type", "accept": "Accept", _CUSTOM_ATTRIBUTES: _CUSTOM_ATTRIBUTES}
_FORWARDED[_INFERENCE_ID] = _INFERENCE_ID
_log = logging.getLogger(__name__)


@dataclass
class Live:
    """An endpoint that takes requests: its routes, the fleet behind them, and what is captured."""

    fleet: Fleet
    routes: Routes


def is_runtime(path: str) -> bool:
    """Whether a path belongs to the SageMaker runtime."""
    return _PATH.match(path) is not None


class Runtime:
    """InvokeEndpoint.

    Args:
        account: Whose endpoints these are.
        live: Answers the live endpoint of a name, or None.
        capture: Takes exchanges.
        metrics: Takes observations.
        timeout: Seconds that a container has for its answer.
    """

    def __init__(
        self,
        account: Account,
        live: Callable[[str], Live | None],
        capture: Capture,
        metrics: MetricSink,
        timeout: float,
    ) -> None:
        self._account = account
        self._live = live
        self._capture = capture
        self._metrics = metrics
        self._timeout = timeout
        shape = service_model("sagemaker-runtime", ("InvokeEndpoint",)).operation_model("InvokeEndpoint").input_shape
        self._members = {
            name: member for name, member in shape.members.items() if member.serialization.get("location") == "header"
        }

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
        variant = _route(live.routes, name, headers.get(_TARGET_VARIANT))
        call = _Call(name, variant, live.fleet, headers, body, begun)
        return await self._call(call)

    def _validate(self, headers: dict[str, str], body: bytes) -> None:
        if len(body) > _MOST_BYTES:
            # Refused by AWS's front door, which speaks no SageMaker: SDKs show "An error occurred (413)".
            raise ApiError("413", f"HTTP content length exceeded {_MOST_BYTES} bytes.", 413)
        broken: list[str] = []
        for name, shape in self._members.items():
            value = headers.get(shape.serialization["name"].lower())
            if value is None:
                continue
            if name in _REFUSED:
                raise ApiError("ValidationError", f"The local SageMaker does not support {name} in InvokeEndpoint.")
            broken += [message.replace("Value", f"Value of {name}:", 1) for message in shapes.validate(shape, value)]
        if broken:
            raise ApiError("ValidationError", shapes.summary(broken))

    async def _call(self, call: _Call) -> Answer:
        instance = call.fleet.pick(call.variant)
        if instance is None or instance.upstream is None:
            # Counted as a 5XX, so that alarms see a variant whose every container is down.
            self._observe(call, 503, None)
            raise ApiError(
                "ServiceUnavailable",
                f"No instance of variant {call.variant.name} of endpoint {call.endpoint} passes its health check.",
                503,
            )
        forwarded = [(sent, call.headers[name]) for name, sent in _FORWARDED.items() if name in call.headers]
        instance.in_flight += 1
        asked = time.perf_counter()
        reply: Reply | None = None
        problem = ""
        try:
            reply = await instance.upstream.request(
                "POST", "/invocations", forwarded, call.body, timeout=self._timeout, most=_MOST_BYTES
            )
        except TimeoutError:
            problem = (
                "Your invocation timed out while waiting for a response from container primary. Review the latency "
                "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            )
        except NoAnswer as error:
            problem = (
                f"Amazon SageMaker could not get a response from the {call.variant.name} endpoint. This can occur when "
                f"CPU or memory utilization is high, or when the container has ended. ({error})"
            )
        except TooLarge as error:
            problem = f"The response is too large: {error}."
        finally:
            instance.in_flight -= 1
        took = time.perf_counter() - asked
        self._observe(call, reply.status if reply else 0, took)
        if reply is None:
            raise self._model_error(call.endpoint, 0, problem)
        if not 200 <= reply.status < 300:
            raise self._model_error(call.endpoint, reply.status, reply.body.decode(errors="replace"))
        return self._answer(call, reply)

    def _answer(self, call: _Call, reply: Reply) -> Answer:
        content_type = reply.headers.get("content-type", "application/octet-stream")
        attributes = call.headers.get(_CUSTOM_ATTRIBUTES)
        self._capture.record(
            call.fleet.deployment.capture,
            Exchange(
                call.endpoint,
                call.variant.name,
                self._account.clock.time(),
                (call.headers.get("content-type", ""), call.body),
                (content_type, reply.body),
                call.headers.get(_INFERENCE_ID),
                attributes,
            ),
        )
        answered = {"Content-Type": content_type, "x-Amzn-Invoked-Production-Variant": call.variant.name}
        if _CUSTOM_ATTRIBUTES in reply.headers:
            answered["X-Amzn-SageMaker-Custom-Attributes"] = reply.headers[_CUSTOM_ATTRIBUTES]
        return 200, answered, reply.body

    def _observe(self, call: _Call, status: int, model_seconds: float | None) -> None:
        """Count an invocation. Errors count 0 or 1 each time, as on AWS, so that their averages are rates."""
        dimensions = {"EndpointName": call.endpoint, "VariantName": call.variant.name}
        now = self._account.clock.time()
        total = time.perf_counter() - call.begun
        instances = max(call.variant.count, 1)
        observed = [
            ("Invocations", 1.0, "None"),
            ("InvocationsPerInstance", 1.0 / instances, "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500 or status == 0), "None"),
            ("InvocationModelErrors", float(not 200 <= status < 300), "None"),
        ]
        if model_seconds is not None:
            observed += [
                ("ModelLatency", round(model_seconds * 1e6), "Microseconds"),
                ("OverheadLatency", round((total - model_seconds) * 1e6), "Microseconds"),
            ]
        self._metrics.put(NAMESPACE, [Datum(name, dimensions, value, unit, now) for name, value, unit in observed])

    def _model_error(self, endpoint: str, status: int, message: str) -> ApiError:
        side, code = (
            ("client", "CLIENT_ERROR_FROM_MODEL") if 400 <= status < 500 else ("server", "INTERNAL_FAILURE_FROM_MODEL")
        )
        region, account, group = self._account.region, self._account.account, group_of(endpoint)
        return ApiError(
            "ModelError",
            f'Received {side} error ({status}) from primary with message "{message}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#logEventViewer:group={group} "
            f"in account {account} for more information.",
            424,
            ErrorCode=code,
            OriginalStatusCode=status,
            OriginalMessage=message,
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
        )


@dataclass(frozen=True)
class _Call:
    endpoint: str
    variant: Variant
    fleet: Fleet
    headers: dict[str, str]
    body: bytes
    begun: float


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
