"""What do clients ask of endpoints: create, describe, list, update, weigh, delete?"""

from __future__ import annotations

from dataclasses import replace

from localcloud.sagemaker import guardrails
from localcloud.sagemaker.account import Account
from localcloud.sagemaker.alarms import Alarms, AlarmsUnreadable
from localcloud.sagemaker.configs import Configs
from localcloud.sagemaker.deployment import Deployment, Variant, from_document, planned
from localcloud.sagemaker.errors import ApiError, already_exists, invalid, not_found
from localcloud.sagemaker.lifecycle import ENDPOINT, Lifecycle
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.summaries import described
from localcloud.sagemaker.wire import Operation, Request

_MOST_INSTANCES = 20  # an endpoint: more processes than that is a mistake on one machine


class Endpoints:
    """The control plane of endpoints; what follows from a request is the lifecycle's.

    Differs from AWS: weights that sum to zero are refused, since the share weight / sum has no meaning (AWS documents
    no answer); instance counts of zero are refused; at most 20 instances an endpoint.
    """

    def __init__(
        self, store: Store, account: Account, configs: Configs, models: Models, *, lifecycle: Lifecycle, alarms: Alarms
    ) -> None:
        self._store = store
        self._account = account
        self._configs = configs
        self._models = models
        self._lifecycle = lifecycle
        self._alarms = alarms

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
        await self._require_usable(request.get("DeploymentConfig"))
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
                    "LastDeploymentConfig": request.get("DeploymentConfig"),
                    "Serving": None,
                    "Pending": deployment.to_document(),
                },
            )
        self._lifecycle.advance(name)
        return {"EndpointArn": arn}

    async def describe(self, request: Request) -> Document:
        """How an endpoint is now."""
        endpoint = self._get(request["EndpointName"])
        return described(endpoint, self._lifecycle.progress(endpoint["EndpointName"]))

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
        """Begin to move an endpoint to another configuration, blue/green or rolling."""
        if request.get("RetainDeploymentConfig") and "DeploymentConfig" in request:
            raise invalid("Set either DeploymentConfig or RetainDeploymentConfig, not both.")
        guard = request.get("DeploymentConfig")
        if request.get("RetainDeploymentConfig"):
            guard = self._get(request["EndpointName"]).get("LastDeploymentConfig")
        await self._require_usable(guard)
        async with self._store.change() as change:
            endpoint = self._get(request["EndpointName"])
            self._refuse_unless(endpoint, {"InService", "UpdateRollbackFailed"})
            serving = from_document(endpoint["Serving"])
            deployment = _retained(self._planned(request["EndpointConfigName"]), serving, request)
            if guard is not None:
                if endpoint["EndpointStatus"] == "UpdateRollbackFailed":
                    raise invalid(
                        f'Endpoint "{endpoint["EndpointArn"]}" serves from two fleets after a failed rollback; '
                        "update it without a DeploymentConfig to replace both."
                    )
                guardrails.applied(guardrails.read(guard), serving, deployment)
                endpoint.update(Guard=guard, LastDeploymentConfig=guard)
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
            self._refuse_unless(endpoint, {"InService", "Failed", "UpdateRollbackFailed"})
            endpoint.update(EndpointStatus="Deleting", LastModifiedTime=self._account.now())
            change.put(ENDPOINT, endpoint["EndpointName"], endpoint)
        self._lifecycle.advance(endpoint["EndpointName"])
        return {}

    async def _require_usable(self, guard: Document | None) -> None:
        """Refuse a DeploymentConfig that contradicts itself, or whose alarms are not there."""
        if guard is None:
            return
        alarms = guardrails.read(guard).alarms
        try:
            states = await self._alarms.states(alarms)
        except AlarmsUnreadable as error:
            raise ApiError("InternalFailure", f"CloudWatch does not say which alarms exist: {error}", 500) from error
        missing = [name for name in alarms if name not in states]
        if missing:
            raise invalid(f"Could not find the alarms of AutoRollbackConfiguration: {', '.join(missing)}.")

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
    if sum(variant.desired_weight for variant in deployment.production) <= 0:
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
    variant = replace(variant, desired_weight=float(wish.get("DesiredWeight", variant.desired_weight)))
    if "DesiredInstanceCount" in wish:
        return replace(variant, desired_count=wish["DesiredInstanceCount"])
    return variant


def _retained(deployment: Deployment, serving: Deployment, request: Request) -> Deployment:
    """The deployment with the live weights and counts of the variants that stay, if the request retains them."""
    excluded = {entry["VariantPropertyType"] for entry in request.get("ExcludeRetainedVariantProperties", ())}
    if not request.get("RetainAllVariantProperties", False):
        if excluded:
            raise invalid("ExcludeRetainedVariantProperties needs RetainAllVariantProperties to be true.")
        return deployment
    if "DataCaptureConfig" in excluded:
        raise invalid("VariantPropertyType DataCaptureConfig is not currently supported.")

    def keep(variant: Variant) -> Variant:
        old = serving.variant(variant.name)
        if old is None:
            return variant
        if "DesiredWeight" not in excluded:
            variant = replace(variant, weight=old.desired_weight, desired_weight=old.desired_weight)
        if "DesiredInstanceCount" not in excluded:
            variant = replace(variant, desired_count=old.desired_count, count=old.desired_count)
        return variant

    kept = deployment.map(keep)
    _refuse_impossible(kept)
    return kept


def _summary(endpoint: Document) -> Document:
    members = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    return {member: endpoint[member] for member in members}
