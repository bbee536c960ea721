"""How are an endpoint's variants, its deployment and its capture shown?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from localcloud.sagemaker.deployment import Deployment, Variant, from_document
from localcloud.sagemaker.store import Document

_PENDING = {"Creating", "Updating", "RollingBack"}
_MEMBERS = ("EndpointName", "EndpointArn", "EndpointStatus", "CreationTime", "LastModifiedTime", "FailureReason")


@dataclass(frozen=True)
class Progress:
    """How far a deployment is.

    Attributes:
        status: A VariantStatus: Creating, Updating, ActivatingTraffic, Baking or Deleting.
        message: StatusMessage.
        since: Epoch seconds.
        active: Instances of the new fleet that take traffic, by variant; empty before the first does.
        remaining: Instances of the old fleet by variant, where there are fewer than its deployment says.
    """

    status: str
    message: str
    since: float
    active: dict[str, int] = field(default_factory=dict)
    remaining: dict[str, int] = field(default_factory=dict)


def described(endpoint: Document, progress: Progress | None) -> Document:
    """An endpoint as DescribeEndpoint answers it.

    Args:
        endpoint: Its document.
        progress: Of the deployment that is going on, or None.
    """
    serving, pending = endpoint["Serving"], endpoint["Pending"]
    going_on = endpoint["EndpointStatus"] in _PENDING
    answer = {member: endpoint[member] for member in _MEMBERS if member in endpoint}
    answer["EndpointConfigName"] = (serving or pending)["config"]
    if serving:
        deployment = from_document(serving)
        remaining = progress.remaining if progress and going_on else {}
        answer |= _variants(deployment, lambda variant: _serving(variant, remaining.get(variant.name, variant.count)))
        if deployment.capture:
            answer["DataCaptureConfig"] = _capture(deployment.capture)
    if pending and going_on:
        deployment = from_document(pending)
        answer["PendingDeploymentSummary"] = {
            "EndpointConfigName": deployment.config,
            "StartTime": deployment.started_at,
            **_variants(deployment, lambda variant: _pending(variant, progress)),
        }
    if endpoint.get("LastDeploymentConfig"):
        answer["LastDeploymentConfig"] = endpoint["LastDeploymentConfig"]
    return answer


def _variants(deployment: Deployment, show: Callable[[Variant], Document]) -> Document:
    shown = {"ProductionVariants": [show(variant) for variant in deployment.production]}
    if deployment.shadow:
        shown["ShadowProductionVariants"] = [show(deployment.shadow)]
    return shown


def _serving(variant: Variant, count: int) -> Document:
    image = {
        "SpecifiedImage": variant.image,
        "ResolvedImage": variant.resolved_image,
        "ResolutionTime": variant.resolved_at,
    }
    shown: Document = {
        "VariantName": variant.name,
        "DeployedImages": [image],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": count,
    }
    return {**shown, "DesiredInstanceCount": variant.desired_count}


def _pending(variant: Variant, progress: Progress | None) -> Document:
    shown: Document = {
        "VariantName": variant.name,
        "DesiredWeight": variant.desired_weight,
        "VariantStatus": [{"Status": "Creating"}],
    }
    if progress:
        shown["VariantStatus"] = [
            {"Status": progress.status, "StatusMessage": progress.message, "StartTime": progress.since}
        ]
        if progress.active:
            shown |= {"CurrentWeight": variant.weight, "CurrentInstanceCount": progress.active.get(variant.name, 0)}
    return {**shown, "DesiredInstanceCount": variant.desired_count, "InstanceType": variant.instance_type}


def _capture(capture: Document) -> Document:
    enabled = capture.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }
