"""Which tags does a resource bear?"""

from __future__ import annotations

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

_MOST = 50  # tags a resource, AWS's limit


class Tags:
    """AddTags, ListTags and DeleteTags for every kind of resource here."""

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    async def add(self, request: Request) -> Document:
        """Set tags, replacing those with the same keys; answers all of them."""
        async with self._store.change() as change:
            kind, name, resource = self._resource(request["ResourceArn"])
            tags = {tag["Key"]: tag["Value"] for tag in resource.get("Tags", ())}
            tags.update({tag["Key"]: tag["Value"] for tag in request["Tags"]})
            if len(tags) > _MOST:
                raise ApiError(
                    "ResourceLimitExceeded",
                    f"{request['ResourceArn']} would have {len(tags)} tags; {_MOST} is the most.",
                )
            resource["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
            change.put(kind, name, resource)
        return {"Tags": resource["Tags"]}

    async def list(self, request: Request) -> Document:
        """All tags, which fit on one page."""
        return {"Tags": self._resource(request["ResourceArn"])[2].get("Tags", [])}

    async def delete(self, request: Request) -> Document:
        """Remove tags by key; keys that are not there are no error."""
        async with self._store.change() as change:
            kind, name, resource = self._resource(request["ResourceArn"])
            resource["Tags"] = [tag for tag in resource.get("Tags", ()) if tag["Key"] not in request["TagKeys"]]
            change.put(kind, name, resource)
        return {}

    def _resource(self, arn: str) -> tuple[str, str, Document]:
        prefix = self._account.arn("", "").removesuffix("/")
        kind, _, name = arn.removeprefix(prefix).partition("/")
        resource = self._store.get(kind, name) if arn.startswith(prefix) else None
        if resource is None:
            raise invalid(f'Could not find resource "{arn}".')
        return kind, name, resource
