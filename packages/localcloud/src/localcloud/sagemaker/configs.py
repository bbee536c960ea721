"""How may models be served: endpoint configurations, each of production variants, perhaps with a shadow variant."""

from __future__ import annotations

from collections.abc import Sequence

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import already_exists, invalid, not_found
from localcloud.sagemaker.listing import Listing
from localcloud.sagemaker.models import Models
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

CONFIG = "endpoint-config"

_LISTS = ("ProductionVariants", "ShadowProductionVariants")


class Configs:
    """Endpoint configurations. As on AWS, one that an endpoint uses can be deleted; the endpoint goes on."""

    def __init__(self, store: Store, account: Account, models: Models) -> None:
        self._store = store
        self._account = account
        self._models = models

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateEndpointConfig": self.create,
            "DescribeEndpointConfig": self.describe,
            "ListEndpointConfigs": self.list,
            "DeleteEndpointConfig": self.delete,
        }

    async def create(self, request: Request) -> Document:
        """Keep a configuration whose models exist."""
        name = request["EndpointConfigName"]
        arn = self._account.arn(CONFIG, name)
        async with self._store.change() as change:
            if self._store.get(CONFIG, name):
                raise already_exists("endpoint configuration", arn)
            lists = {
                member: [self._variant(variant) for variant in request[member]]
                for member in _LISTS
                if member in request
            }
            self._check(request, [variant for variants in lists.values() for variant in variants])
            change.put(
                CONFIG,
                name,
                {
                    **request,
                    **lists,
                    "EndpointConfigArn": arn,
                    "CreationTime": self._account.now(),
                },
            )
        return {"EndpointConfigArn": arn}

    async def describe(self, request: Request) -> Document:
        """A configuration with its defaults filled in."""
        config = self.get(request["EndpointConfigName"])
        return {"EnableNetworkIsolation": False, **{k: v for k, v in config.items() if k != "Tags"}}

    async def list(self, request: Request) -> Document:
        """Configurations, the newest first unless asked otherwise."""
        return Listing("EndpointConfigs", "EndpointConfigName", _summary).page(self._store.all(CONFIG), request)

    async def delete(self, request: Request) -> Document:
        """Forget a configuration."""
        async with self._store.change() as change:
            change.delete(CONFIG, self.get(request["EndpointConfigName"])["EndpointConfigName"])
        return {}

    def get(self, name: str) -> Document:
        """A configuration by name.

        Raises:
            ApiError: There is none.
        """
        config = self._store.get(CONFIG, name)
        if config is None:
            raise not_found("endpoint configuration", self._account.arn(CONFIG, name))
        return config

    def _check(self, request: Request, variants: Sequence[Document]) -> None:
        names = [variant["VariantName"] for variant in variants]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise invalid(f"Production variant names must be unique; repeated: {', '.join(repeated)}.")
        shadows = len(request.get("ShadowProductionVariants", ()))
        if shadows and (shadows > 1 or len(variants) > shadows + 1):
            raise invalid(
                "With ShadowProductionVariants you can only specify one variant for ProductionVariants and one variant "
                f"for ShadowProductionVariants; there are {len(variants) - shadows} and {shadows}."
            )

    def _variant(self, variant: Document) -> Document:
        name = variant["VariantName"]
        for member in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if member not in variant:
                raise invalid(f"Production variant {name!r} has no {member}.")
        self._models.get(variant["ModelName"])
        return {"InitialVariantWeight": 1.0, **variant}


def _summary(config: Document) -> Document:
    return {member: config[member] for member in ("EndpointConfigName", "EndpointConfigArn", "CreationTime")}
