"""Which entity led to which: associations between artifacts, actions, contexts and trial components."""

from __future__ import annotations

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.lineage_entities import ASSOCIATION, BY_SERVICE, key_of_association
from localcloud.sagemaker.lineage_nodes import node_of
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

_MOST = 6000  # Amazon SageMaker Developer Guide, "Manually Create Tracking Entities", limits
_BY_ARN = "by"
_TYPES = {"SourceType", "DestinationType"}
_SORTED = ("CreationTime", "SourceArn", "DestinationArn", "SourceType", "DestinationType")


class LineageAssociations:
    """AddAssociation, DeleteAssociation and ListAssociations.

    Differs from AWS: an experiment cannot be associated. AWS does not say which type an association has that was added
    without one; here it has none.
    """

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {"AddAssociation": self.add, "DeleteAssociation": self.delete, "ListAssociations": self.list}

    async def add(self, request: Request) -> Document:
        """Associate two entities; once, whatever the type."""
        async with self._store.change() as change:
            ends = _ends(request)
            for arn in ends.values():
                if node_of(self._store, self._account, arn) is None:
                    raise ApiError("ResourceNotFound", f"Lineage entity {arn} does not exist.")
            if self._store.get(ASSOCIATION, key_of_association(request)):
                raise invalid(f"Association already exists: {ends['SourceArn']} to {ends['DestinationArn']}")
            if sum(BY_SERVICE not in one for one in self._store.all(ASSOCIATION)) >= _MOST:
                raise ApiError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit for Associations is {_MOST}, and there are as many.",
                )
            change.put(ASSOCIATION, key_of_association(request), {**request, "CreationTime": self._account.now()})
        return ends

    async def delete(self, request: Request) -> Document:
        """Take two entities apart."""
        async with self._store.change() as change:
            if self._store.get(ASSOCIATION, key_of_association(request)) is None:
                ends = _ends(request)
                raise ApiError(
                    "ResourceNotFound",
                    f"Association {ends['SourceArn']} to {ends['DestinationArn']} does not exist.",
                )
            change.delete(ASSOCIATION, key_of_association(request))
        return _ends(request)

    async def list(self, request: Request) -> Document:
        """Associations, the newest first unless asked otherwise."""
        listing = Listing(
            "AssociationSummaries",
            _BY_ARN,
            self._summary,
            sort_members={member: member for member in _SORTED},
            equals={name: name for name in (*_SORTED[1:], "AssociationType")},
        )
        kept = [one for one in self._store.all(ASSOCIATION) if _between(one, request)]
        found = [{**one, _BY_ARN: key_of_association(one)} for one in kept]
        if _TYPES & {*request, request.get("SortBy")}:
            found = [{**one, **self._ends_of(one)} for one in found]
        return listing.page(found, with_usual_times(request))

    def _summary(self, association: Document) -> Document:
        shown = {**association, **self._ends_of(association), "CreatedBy": {}}
        return {name: value for name, value in shown.items() if name not in {_BY_ARN, BY_SERVICE}}

    def _ends_of(self, association: Document) -> Document:
        """The types and the names of both entities."""
        found: Document = {}
        for end in ("Source", "Destination"):
            node = node_of(self._store, self._account, association[f"{end}Arn"])
            found[f"{end}Type"] = node.listed_type if node else ""
            # A context's name may hold `_`, which AWS's service model does not allow in this answer.
            if node and node.name and "_" not in node.name:
                found[f"{end}Name"] = node.name
        return found


def _between(association: Document, request: Request) -> bool:
    """Whether an association has the ends that a request names: asked first, of the types that cost more to know."""
    return all(association[name] == request[name] for name in ("SourceArn", "DestinationArn") if name in request)


def _ends(request: Request) -> Document:
    return {name: request[name] for name in ("SourceArn", "DestinationArn")}
