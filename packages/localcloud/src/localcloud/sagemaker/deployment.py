"""What exactly runs behind an endpoint?

A deployment is a copy of everything that serving needs. Configurations and models may be deleted while an endpoint uses
them, so the endpoint keeps its deployment in its own document and can be brought back from it after a restart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from localcloud.sagemaker.models import model_data_url
from localcloud.sagemaker.store import Document


@dataclass(frozen=True)
class Variant:
    """A production or shadow variant as it runs.

    Attributes:
        name: VariantName.
        model: ModelName.
        instance_type: Kept for show; every instance is a process of this machine.
        image: The image as the model names it.
        model_data_url: `s3://` address of the archive; None when the image brings its model.
        environment: The model's Environment.
        routing: RANDOM or LEAST_OUTSTANDING_REQUESTS, among the variant's instances.
        startup_timeout: Seconds to the first good `/ping`; None for the default.
        download_timeout: Seconds to fetch the archive; None for no limit.
        shadow: Whether it takes copies of requests, and its answers go nowhere.
        weight: CurrentWeight.
        desired_weight: DesiredWeight.
        count: CurrentInstanceCount.
        desired_count: DesiredInstanceCount.
        archive: sha256 of the archive that was deployed; None before it was fetched. A restart serves these bytes
            again, even if the object in S3 has changed since.
        resolved_image: The image by digest, or as named for a process; None before it was resolved.
        resolved_at: Epoch seconds of the resolution.
    """

    name: str
    model: str
    instance_type: str | None
    image: str
    model_data_url: str | None
    environment: Mapping[str, str]
    routing: str
    startup_timeout: float | None
    weight: float
    desired_weight: float
    count: int
    desired_count: int
    archive: str | None = None
    resolved_image: str | None = None
    resolved_at: float | None = None
    download_timeout: float | None = None
    shadow: bool = False


@dataclass(frozen=True)
class Deployment:
    """All variants of one endpoint configuration, and what is captured of them."""

    config: str
    variants: tuple[Variant, ...]
    capture: Document | None
    started_at: float

    def variant(self, name: str) -> Variant | None:
        """A variant by name."""
        return next((variant for variant in self.variants if variant.name == name), None)

    @property
    def production(self) -> tuple[Variant, ...]:
        """The variants whose answers are returned."""
        return tuple(variant for variant in self.variants if not variant.shadow)

    @property
    def shadow(self) -> Variant | None:
        """The variant that takes copies, or None."""
        return next((variant for variant in self.variants if variant.shadow), None)

    @property
    def instances(self) -> int:
        """DesiredInstanceCount of all production variants together."""
        return sum(variant.desired_count for variant in self.production)

    def map(self, change: Callable[[Variant], Variant]) -> Deployment:
        """The deployment with each variant changed."""
        return replace(self, variants=tuple(change(variant) for variant in self.variants))

    def to_document(self) -> Document:
        """As JSON."""
        return {**asdict(self), "variants": [asdict(variant) for variant in self.variants]}


def from_document(document: Document) -> Deployment:
    """A deployment that `to_document` wrote."""
    return Deployment(**document | {"variants": tuple(Variant(**variant) for variant in document["variants"])})


def planned(config: Document, model: Callable[[str], Document], now: float) -> Deployment:
    """The deployment that an endpoint configuration asks for.

    Args:
        config: The configuration's document.
        model: Answers a model's document by name.
        now: Epoch seconds.

    Raises:
        ApiError: A model is not there any more.
    """
    return Deployment(
        config=config["EndpointConfigName"],
        variants=tuple(
            _variant(variant, model(variant["ModelName"]), shadow=shadow)
            for member, shadow in (("ProductionVariants", False), ("ShadowProductionVariants", True))
            for variant in config.get(member, ())
        ),
        capture=config.get("DataCaptureConfig"),
        started_at=now,
    )


def _variant(variant: Document, model: Document, *, shadow: bool) -> Variant:
    container: dict[str, Any] = model["Resolved"]
    weight, count = float(variant["InitialVariantWeight"]), variant.get("InitialInstanceCount", 0)
    return Variant(
        name=variant["VariantName"],
        model=model["ModelName"],
        instance_type=variant.get("InstanceType"),
        image=container["Image"],
        model_data_url=model_data_url(container),
        environment=container.get("Environment", {}),
        routing=variant.get("RoutingConfig", {}).get("RoutingStrategy", "RANDOM"),
        startup_timeout=variant.get("ContainerStartupHealthCheckTimeoutInSeconds"),
        download_timeout=variant.get("ModelDataDownloadTimeoutInSeconds"),
        weight=weight,
        desired_weight=weight,
        count=count,
        desired_count=count,
        shadow=shadow,
    )
