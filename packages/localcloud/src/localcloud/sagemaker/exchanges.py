"""How is one request put to one variant? Asked, timed, counted and captured."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.capture import Capture, Exchange
from localcloud.sagemaker.client import NoAnswer, Reply, TooLarge
from localcloud.sagemaker.deployment import Variant
from localcloud.sagemaker.errors import ApiError
from localcloud.sagemaker.instance import Instance
from localcloud.sagemaker.logs import group_of
from localcloud.sagemaker.routing import Side
from localcloud.server.faults import Fault, Faults
from localcloud.server.platform import Answer, Datum, MetricSink

NAMESPACE = "AWS/SageMaker"

# The developer guide's limit for real-time inference; the service model still names 6 MB, which nobody enforces.
MOST_BYTES = 25 * 1024 * 1024

CUSTOM_ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
_INFERENCE_ID = "x-amzn-sagemaker-inference-id"
_FORWARDED = {"content-type": "Content-Type", "accept": "Accept", CUSTOM_ATTRIBUTES: CUSTOM_ATTRIBUTES}
_FORWARDED[_INFERENCE_ID] = _INFERENCE_ID


@dataclass
class Call:
    """One request on its way to one variant.

    Attributes:
        endpoint: EndpointName.
        variant: That is to answer.
        side: The fleet that the variant belongs to.
        headers: As sent, with lower-case names.
        body: The payload.
        begun: `time.perf_counter()` at which it came in.
        faults: What goes wrong with it.
    """

    endpoint: str
    variant: Variant
    side: Side
    headers: dict[str, str]
    body: bytes
    begun: float
    faults: list[Fault] = field(default_factory=list)


class Exchanges:
    """Puts calls to instances.

    Args:
        account: Whose endpoints these are.
        capture: Takes exchanges.
        metrics: Takes observations.
        faults: What shall go wrong.
        timeout: Seconds that a container has for its answer.
    """

    def __init__(self, account: Account, capture: Capture, metrics: MetricSink, faults: Faults, timeout: float) -> None:
        self._account = account
        self._capture = capture
        self._metrics = metrics
        self._faults = faults
        self._timeout = timeout

    async def answer(self, call: Call) -> Answer:
        """Have the variant answer.

        Raises:
            ApiError: As InvokeEndpoint's errors.
        """
        instance = call.side.fleet.pick(call.variant)
        if instance is None:
            # Counted as a 5XX, so that alarms see a variant whose every container is down.
            self._observe(call, 503, None)
            raise ApiError(
                "ServiceUnavailable",
                f"No instance of variant {call.variant.name} of endpoint {call.endpoint} passes its health check.",
                503,
            )
        call.faults = self._faults.of_variant(self._account.account, call.endpoint, call.variant.name)
        instance.in_flight += 1
        asked = time.perf_counter()
        reply: Reply | None = None
        problem = ""
        try:
            reply = await self._reply(call, instance)
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
        return self._captured(call, reply)

    async def _reply(self, call: Call, instance: Instance) -> Reply:
        """The container's answer, or what faults make of it."""
        for fault in call.faults:
            if fault.effect == "delay":
                await asyncio.sleep(fault.seconds)
            elif fault.effect == "hang":
                await asyncio.sleep(self._timeout if fault.milliseconds is None else fault.seconds)
                raise TimeoutError
            elif fault.effect == "crash":
                instance.kill()
                raise NoAnswer(f"the container was killed, as fault {fault.id} asks")
            elif fault.effect == "error":
                return Reply(fault.status, {}, f"as fault {fault.id} asks".encode())
            else:
                kind = call.headers.get("accept") or "application/json"
                return Reply(200, {"content-type": kind}, fault.body.encode())
        if instance.upstream is None:
            raise NoAnswer("the container has ended")
        forwarded = [(sent, call.headers[name]) for name, sent in _FORWARDED.items() if name in call.headers]
        return await instance.upstream.request(
            "POST", "/invocations", forwarded, call.body, timeout=self._timeout, most=MOST_BYTES
        )

    def _captured(self, call: Call, reply: Reply) -> Answer:
        content_type = reply.headers.get("content-type", "application/octet-stream")
        self._capture.record(
            call.side.fleet.deployment.capture,
            Exchange(
                call.endpoint,
                call.variant.name,
                self._account.clock.time(),
                (call.headers.get("content-type", ""), call.body),
                (content_type, reply.body),
                call.headers.get(_INFERENCE_ID),
                call.headers.get(CUSTOM_ATTRIBUTES),
            ),
        )
        answered = {"Content-Type": content_type, "x-Amzn-Invoked-Production-Variant": call.variant.name}
        if CUSTOM_ATTRIBUTES in reply.headers:
            answered["X-Amzn-SageMaker-Custom-Attributes"] = reply.headers[CUSTOM_ATTRIBUTES]
        return 200, answered, reply.body

    def _observe(self, call: Call, status: int, model_seconds: float | None) -> None:
        """Count an invocation. Errors count 0 or 1 each time, as on AWS, so that their averages are rates."""
        now = self._account.clock.time()
        total = time.perf_counter() - call.begun
        observed = [
            ("Invocations", 1.0, "None"),
            ("Invocation4XXErrors", float(400 <= status < 500), "None"),
            ("Invocation5XXErrors", float(status >= 500 or status == 0), "None"),
            ("InvocationModelErrors", float(not 200 <= status < 300), "None"),
            ("InvocationsPerInstance", 1.0 / max(call.variant.count, 1), "None"),
        ]
        if model_seconds is not None:
            observed += [
                ("ModelLatency", round(model_seconds * 1e6), "Microseconds"),
                ("OverheadLatency", round((total - model_seconds) * 1e6), "Microseconds"),
            ]
        dimensions = {"EndpointName": call.endpoint, "VariantName": call.variant.name}
        sets = [dimensions]
        if call.side.by_config:
            sets.append({**dimensions, "EndpointConfigName": call.side.fleet.deployment.config})
        data = [Datum(name, labels, value, unit, now) for labels in sets for name, value, unit in observed]
        self._metrics.put(NAMESPACE, data)

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
