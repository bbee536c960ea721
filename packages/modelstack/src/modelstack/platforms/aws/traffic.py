"""`Traffic` over a SageMaker endpoint, and its state.

It is apart from the controller, which loads the judge: `pulumi up` and `status` read the state alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.platforms.aws.clients import Clients, calling
from modelstack.platforms.s3.errors import code_of
from modelstack.rollout.core.errors import Busy, RolloutError
from modelstack.rollout.core.live import Live, Status, Variant
from modelstack.rollout.core.plan import Guard

_READY = frozenset({"InService"})
_FAILED = frozenset({"Failed", "OutOfService", "UpdateRollbackFailed"})


@dataclass(frozen=True)
class SageMakerTraffic:
    """`Traffic` over one SageMaker endpoint."""

    clients: Clients
    endpoint: str

    def read(self) -> Live:
        """DescribeEndpoint. Its config may already be the new one while `changing`."""
        with calling(f"describe endpoint {self.endpoint}"):
            answer = self.clients("sagemaker").describe_endpoint(EndpointName=self.endpoint)
        return live_of(answer)

    def set_weights(self, weights: Mapping[str, int]) -> None:
        """UpdateEndpointWeightsAndCapacities; a 0 is sent as a 0."""
        wanted = [{"VariantName": name, "DesiredWeight": float(weight)} for name, weight in weights.items()]
        self._change(
            f"set weights {dict(weights)} of endpoint {self.endpoint}",
            lambda: self.clients("sagemaker").update_endpoint_weights_and_capacities(
                EndpointName=self.endpoint, DesiredWeightsAndCapacities=wanted
            ),
        )

    def use_config(self, name: str, guard: Guard | None = None) -> bool:
        """UpdateEndpoint; the weights are those of the config.

        If the update fails, SageMaker goes back to the old config, at times without a FailureReason.
        """
        deployment = {"DeploymentConfig": deployment_config(guard)} if guard else {}
        self._change(
            f"move endpoint {self.endpoint} to config {name}",
            lambda: self.clients("sagemaker").update_endpoint(
                EndpointName=self.endpoint, EndpointConfigName=name, **deployment
            ),
        )
        return True

    def _change(self, doing: str, call: Callable[[], object]) -> None:
        """Call, with `Busy` for the ValidationException by which AWS refuses changes while an endpoint is Updating.

        If it is not Updating by now, it may have been a moment ago: the second attempt shows whether the call is a
        mistake.
        """
        for again in (True, False):
            try:
                with calling(doing):
                    call()
                return
            except RolloutError as error:
                if code_of(error.__cause__) not in {"ValidationException", "ResourceInUse"}:
                    raise
                if self.read().status == "changing":
                    raise Busy(f"{doing}: the endpoint is changing, and takes it when it is done") from error
                if not again:
                    raise


def find_live(make: Clients, endpoint: str) -> Live | None:
    """The state of an endpoint; None if it does not exist."""
    try:
        return SageMakerTraffic(make, endpoint).read()
    except RolloutError as error:
        if code_of(error.__cause__) == "ValidationException" and "Could not find endpoint" in str(error):
            return None
        raise


def live_of(answer: Mapping[str, Any]) -> Live:
    """A DescribeEndpoint response as the state of the endpoint."""
    status = str(answer["EndpointStatus"])
    kind: Status = "ready" if status in _READY else "failed" if status in _FAILED else "changing"
    variants = {item["VariantName"]: _variant(item) for item in answer.get("ProductionVariants", [])}
    shadows = {item["VariantName"]: _variant(item) for item in answer.get("ShadowProductionVariants", [])}
    failure = why_failed(answer.get("FailureReason", ""))
    detail = f"{status}: {failure}" if failure else status
    changed = answer.get("LastModifiedTime")
    modified = changed.timestamp() if changed else 0.0
    return Live(kind, answer["EndpointConfigName"], variants, detail, shadows, failure, modified)


def deployment_config(guard: Guard) -> dict[str, Any]:
    """A guard as UpdateEndpoint's DeploymentConfig."""
    size = {"Type": "CAPACITY_PERCENT", "Value": guard.percent}
    alarms = [{"AlarmName": name} for name in guard.alarms]
    watched: dict[str, Any] = {"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {}
    if guard.kind == "rolling":
        policy = {
            "MaximumBatchSize": size,
            "WaitIntervalInSeconds": guard.bake_seconds,
            "MaximumExecutionTimeoutInSeconds": guard.max_seconds,
        }
        return {"RollingUpdatePolicy": policy, **watched}
    routing: dict[str, Any] = {"Type": guard.kind.upper(), "WaitIntervalInSeconds": guard.bake_seconds}
    if guard.kind == "canary":
        routing["CanarySize"] = size
    if guard.kind == "linear":
        routing["LinearStepSize"] = size
    policy = {
        "TrafficRoutingConfiguration": routing,
        "TerminationWaitInSeconds": guard.bake_seconds,  # after the last part
        "MaximumExecutionTimeoutInSeconds": guard.max_seconds,
    }
    return {"BlueGreenUpdatePolicy": policy, **watched}


def why_failed(failure: str) -> str:
    """A FailureReason in one line: SageMaker's message and the last line of the container's output."""
    lines = [line for line in (one_line(part) for part in failure.splitlines()) if line]
    return " ".join([lines[0], *lines[1:][-1:]]) if lines else ""


def _variant(item: Mapping[str, Any]) -> Variant:
    current = float(item.get("CurrentWeight", 0.0))
    instances = int(item.get("CurrentInstanceCount", 1 if "CurrentServerlessConfig" in item else 0))
    return Variant(current, float(item.get("DesiredWeight", current)), instances)


def one_line(text: str) -> str:
    """SageMaker takes descriptions of one line."""
    return " ".join(text.split())
