"""What do clients ask of endpoints: create, describe, list, update, weigh, delete?"""

from __future__ import annotations

from dataclasses import replace

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.configs import Configs
from localcloud.sagemaker.deployment import Deployment, Variant, from_document, planned
from localcloud.sagemaker.errors import ApiError, already_exists, invalid, not_found
from localcloud.sagemaker.lifecycle import ENDPOINT, Lifecycle
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

_MOST_INSTANCES = 20  # an endpoint: more processes than that is a mistake on one machine


class Endpoints:
    """The control plane of endpoints; what follows from a request is the lifecycle's.

    Differs from AWS: weights that sum to zero are refused, since the share weight / sum has no meaning (AWS documents
    no answer); instance counts of zero are refused; at most 20 instances an endpoint.
    """

    def __init__(self, store: Store, account: Account, configs: Configs, models: Models, lifecycle: Lifecycle) -> None:
        self._store = store
        self._account = account
        self._configs = configs
        self._models = models
        self._lifecycle = lifecycle

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateEndpoint": self.create,
            "DescribeEndpoint": self.describe,
            "ListEndpoints": self.list,
            "UpdateEndpoint": self.update,
            "UpdateEndpointWeightsAndCapacities": self.set_weights,
            "DeleteEndpoint": self.delete,
        }

    async def create(self, request: Request) -> Document:
        """Begin to bring an endpoint up."""
        name = request["EndpointName"]
        arn = self._account.arn(ENDPOINT, name)
        now = self._account.now()
        async with self._store.change() as change:
            if self._store.get(ENDPOINT, name):
                raise already_exists("endpoint", arn)
            deployment = self._planned(request["EndpointConfigName"])
            change.put(
                ENDPOINT,
                name,
                {
                    "EndpointName": name,
                    "EndpointArn": arn,
                    "Tags": request.get("Tags", []),
                    "EndpointStatus": "Creating",
                    "CreationTime": now,
                    "LastModifiedTime": now,
                    "Serving": None,
                    "Pending": deployment.to_document(),
                },
            )
        self._lifecycle.advance(name)
        return {"EndpointArn": arn}

    async def describe(self, request: Request) -> Document:
        """How an endpoint is now."""
        endpoint = self._get(request["EndpointName"])
        serving, pending = endpoint["Serving"], endpoint["Pending"]
        shown = ("EndpointName", "EndpointArn", "EndpointStatus", "CreationTime", "LastModifiedTime", "FailureReason")
        answer = {member: endpoint[member] for member in shown if member in endpoint}
        answer["EndpointConfigName"] = (serving or pending)["config"]
        if serving:
            deployment = from_document(serving)
            answer["ProductionVariants"] = [_variant_summary(variant) for variant in deployment.variants]
            if deployment.capture:
                answer["DataCaptureConfig"] = _capture_summary(deployment.capture)
        if pending and endpoint["EndpointStatus"] in {"Creating", "Updating"}:
            answer["PendingDeploymentSummary"] = _pending_summary(from_document(pending))
        return answer

    async def list(self, request: Request) -> Document:
        """Endpoints, the newest first unless asked otherwise."""
        listing = Listing(
            "Endpoints",
            "EndpointName",
            _summary,
            sort_members={"CreationTime": "CreationTime", "Status": "EndpointStatus"},
            equals={"StatusEquals": "EndpointStatus"},
        )
        return listing.page(self._store.all(ENDPOINT), request)

    async def update(self, request: Request) -> Document:
        """Begin to move an endpoint to another configuration, blue/green."""
        async with self._store.change() as change:
            endpoint = self._get(request["EndpointName"])
            self._refuse_unless(endpoint, {"InService"})
            deployment = self._planned(request["EndpointConfigName"])
            if request.get("RetainAllVariantProperties", False):
                excluded = {
                    entry["VariantPropertyType"] for entry in request.get("ExcludeRetainedVariantProperties", ())
                }
                deployment = _retained(deployment, from_document(endpoint["Serving"]), excluded)
            endpoint.update(Pending=deployment.to_document())
            self._mark_updating(endpoint)
            change.put(ENDPOINT, endpoint["EndpointName"], endpoint)
        self._lifecycle.advance(endpoint["EndpointName"])
        return {"EndpointArn": endpoint["EndpointArn"]}

    async def set_weights(self, request: Request) -> Document:
        """Begin to change weights and instance counts of the variants that serve."""
        async with self._store.change() as change:
            endpoint = self._get(request["EndpointName"])
            self._refuse_unless(endpoint, {"InService"})
            deployment = from_document(endpoint["Serving"])
            for wish in request["DesiredWeightsAndCapacities"]:
                if deployment.variant(wish["VariantName"]) is None:
                    raise invalid(
                        f"Variant {wish['VariantName']} of endpoint {endpoint['EndpointArn']} not found; "
                        f"it has {', '.join(variant.name for variant in deployment.variants)}."
                    )
                deployment = deployment.map(lambda variant, wish=wish: _wished(variant, wish))
            _refuse_impossible(deployment)
            endpoint.update(Serving=deployment.to_document())
            self._mark_updating(endpoint)
            change.put(ENDPOINT, endpoint["EndpointName"], endpoint)
        self._lifecycle.advance(endpoint["EndpointName"])
        return {"EndpointArn": endpoint["EndpointArn"]}

    async def delete(self, request: Request) -> Document:
        """Begin to take an endpoint down."""
        async with self._store.change() as change:
            endpoint = self._get(request["EndpointName"])
            self._refuse_unless(endpoint, {"InService", "Failed"})
            endpoint.update(EndpointStatus="Deleting", LastModifiedTime=self._account.now())
            change.put(ENDPOINT, endpoint["EndpointName"], endpoint)
        self._lifecycle.advance(endpoint["EndpointName"])
        return {}

    def _get(self, name: str) -> Document:
        endpoint = self._store.get(ENDPOINT, name)
        if endpoint is None:
            raise not_found("endpoint", self._account.arn(ENDPOINT, name))
        return endpoint

    def _planned(self, config: str) -> Deployment:
        deployment = planned(self._configs.get(config), self._models.get, self._account.now())
        _refuse_impossible(deployment)
        return deployment

    def _mark_updating(self, endpoint: Document) -> None:
        endpoint.update(EndpointStatus="Updating", LastModifiedTime=self._account.now())
        endpoint.pop("FailureReason", None)

    def _refuse_unless(self, endpoint: Document, allowed: set[str]) -> None:
        status = endpoint["EndpointStatus"]
        if status in allowed:
            return
        if status == "Failed":
            raise invalid(f'Cannot update endpoint "{endpoint["EndpointArn"]}": it is Failed, and can only be deleted.')
        raise invalid(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}". (It is {status}.)')


def _refuse_impossible(deployment: Deployment) -> None:
    if sum(variant.desired_weight for variant in deployment.variants) <= 0:
        raise invalid("The weights of all production variants are 0; at least one must be more.")
    if any(variant.desired_count < 1 for variant in deployment.variants):
        raise invalid("A production variant must have at least 1 instance.")
    total = sum(variant.desired_count for variant in deployment.variants)
    if total > _MOST_INSTANCES:
        raise ApiError(
            "ResourceLimitExceeded",
            f"The endpoint would have {total} instances; the local SageMaker runs at most {_MOST_INSTANCES}.",
        )


def _wished(variant: Variant, wish: Document) -> Variant:
    if variant.name != wish["VariantName"]:
        return variant
    return replace(
        variant,
        desired_weight=float(wish.get("DesiredWeight", variant.desired_weight)),
        desired_count=wish.get("DesiredInstanceCount", variant.desired_count),
    )


def _retained(deployment: Deployment, serving: Deployment, excluded: set[str]) -> Deployment:
    def keep(variant: Variant) -> Variant:
        old = serving.variant(variant.name)
        if old is None:
            return variant
        if "DesiredWeight" not in excluded:
            variant = replace(variant, weight=old.desired_weight, desired_weight=old.desired_weight)
        if "DesiredInstanceCount" not in excluded:
            variant = replace(variant, desired_count=old.desired_count, count=old.desired_count)
        return variant

    return deployment.map(keep)


def _summary(endpoint: Document) -> Document:
    members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    return {member: endpoint[member] for member in members}


def _variant_summary(variant: Variant) -> Document:
    return {
        "VariantName": variant.name,
        "DeployedImages": [
            {
                "SpecifiedImage": variant.image,
                "ResolvedImage": variant.resolved_image,
                "ResolutionTime": variant.resolved_at,
            }
        ],
        "CurrentWeight": variant.weight,
        "DesiredWeight": variant.desired_weight,
        "CurrentInstanceCount": variant.count,
        "DesiredInstanceCount": variant.desired_count,
    }


def _pending_summary(deployment: Deployment) -> Document:
    return {
        "EndpointConfigName": deployment.config,
        "StartTime": deployment.started_at,
        "ProductionVariants": [
            {
                "VariantName": variant.name,
                "DesiredWeight": variant.desired_weight,
                "DesiredInstanceCount": variant.desired_count,
                "InstanceType": variant.instance_type,
                "VariantStatus": [{"Status": "Creating"}],
            }
            for variant in deployment.variants
        ],
    }


def _capture_summary(capture: Document) -> Document:
    enabled = capture.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }
