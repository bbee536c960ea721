"""What stands for data, for what was done, and for what groups both: artifacts, actions and contexts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.lineage_groups import default_group
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.store import Document, Store
from localcloud.sagemaker.wire import Operation, Request

ASSOCIATION = "association"
BY_SERVICE = "ByService"
"""Member of what SageMaker made by itself, of which there may be any number."""
_LONGEST_SHOWN = 2500  # of a property's value in an answer of AWS's own service model; requests may have 4096
_INTERNAL = {"Tags", BY_SERVICE}
_SHOWN_TYPE = {"Action": 64}  # of ActionSummary in that model; the request's may have 256


@dataclass(frozen=True)
class Kind:
    """One of the three kinds of entities.

    Attributes:
        name: As operations and members call it, e.g. `Artifact`.
        most: How many an account may have in a region.
    """

    name: str
    most: int

    @property
    def stored(self) -> str:
        """The kind in ARNs, and of its documents."""
        return self.name.lower()


# Source: Amazon SageMaker Developer Guide, "Manually Create Tracking Entities", limits.
KINDS = {kind.name: kind for kind in (Kind("Artifact", 6000), Kind("Action", 3000), Kind("Context", 500))}


class LineageEntities:
    """Create, describe, update, list and delete artifacts, actions and contexts.

    An artifact is what its source is, the URI and the types together: there is one of each source. Actions and contexts
    are told apart by their names.

    Those that SageMaker makes by itself are written by `localcloud.sagemaker.lineage_told`. Differs from AWS:
    `CreatedBy` is empty, because callers are not told apart here. The API reference calls an artifact's name unique;
    AWS's own SDK gives one name to many, so that is taken.
    """

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        verbs: dict[str, Callable[[Kind, Request], Awaitable[Document]]] = {
            "Create": self._create,
            "Describe": self._describe,
            "Update": self._update,
            "Delete": self._delete,
        }
        one = {f"{verb}{kind.name}": partial(call, kind) for verb, call in verbs.items() for kind in KINDS.values()}
        return {**one, **{f"List{kind.name}s": partial(self._list, kind) for kind in KINDS.values()}}

    async def _create(self, kind: Kind, request: Request) -> Document:
        """Make an entity; one that is there already is an error."""
        _check_properties(request)
        key = key_of_source(request["Source"]) if kind.name == "Artifact" else request[f"{kind.name}Name"]
        arn = self._account.arn(kind.stored, key)
        async with self._store.change() as change:
            if self._store.get(kind.stored, key):
                raise invalid(f"{kind.name} already exists: {arn}")
            if sum(BY_SERVICE not in one for one in self._store.all(kind.stored)) >= kind.most:
                raise ApiError(
                    "ResourceLimitExceeded",
                    f"The account-level service limit for {kind.name}s is {kind.most}, and there are as many.",
                )
            now = self._account.now()
            times = {"CreationTime": now, "LastModifiedTime": now}
            change.put(kind.stored, key, {**request, f"{kind.name}Arn": arn, **times})
        return {f"{kind.name}Arn": arn}

    async def _describe(self, kind: Kind, request: Request) -> Document:
        """Everything about an entity."""
        _, entity = self._entity(kind, request)
        shown = {name: value for name, value in entity.items() if name not in _INTERNAL}
        return {**shown, "CreatedBy": {}, "LineageGroupArn": default_group(self._account)}

    async def _update(self, kind: Kind, request: Request) -> Document:
        """Change an entity; given properties take the place of all that it had."""
        _check_properties(request)
        async with self._store.change() as change:
            key, entity = self._entity(kind, request)
            # An artifact may get another name, which names the others.
            changed = ("Description", "Status", "Properties", *(["ArtifactName"] if kind.name == "Artifact" else []))
            entity |= {member: request[member] for member in changed if member in request}
            for name in request.get("PropertiesToRemove", ()):
                entity.get("Properties", {}).pop(name, None)
            change.put(kind.stored, key, {**entity, "LastModifiedTime": self._account.now(), "LastModifiedBy": {}})
        return {f"{kind.name}Arn": entity[f"{kind.name}Arn"]}

    async def _delete(self, kind: Kind, request: Request) -> Document:
        """Forget an entity that nothing is associated with any more."""
        async with self._store.change() as change:
            key, entity = self._entity(kind, request)
            arn = entity[f"{kind.name}Arn"]
            if any(arn in {edge["SourceArn"], edge["DestinationArn"]} for edge in self._store.all(ASSOCIATION)):
                raise invalid(f"{kind.name} {arn} cannot be deleted because it still has associations.")
            change.delete(kind.stored, key)
        return {f"{kind.name}Arn": arn}

    async def _list(self, kind: Kind, request: Request) -> Document:
        """Entities, the newest first unless asked otherwise."""
        listing = Listing(
            f"{kind.name}Summaries",
            # An artifact need not have a name, and is not sorted by it.
            f"{kind.name}{'Arn' if kind.name == 'Artifact' else 'Name'}",
            partial(_summary, kind),
            equals={"SourceUri": "SourceUri", f"{kind.name}Type": f"{kind.name}Type"},
        )
        return listing.page(map(with_source, self._store.all(kind.stored)), with_usual_times(request))

    def _entity(self, kind: Kind, request: Request) -> tuple[str, Document]:
        if kind.name != "Artifact":
            key = self._account.name(kind.stored, request[f"{kind.name}Name"])
        elif "ArtifactArn" in request:
            key = self._account.name(kind.stored, request["ArtifactArn"])
        elif "Source" in request:
            key = key_of_source(request["Source"])
        else:
            raise invalid("Either ArtifactArn or Source must be specified.")
        entity = self._store.get(kind.stored, key)
        if entity is None:
            arn = key if key.startswith("arn:") else self._account.arn(kind.stored, key)
            raise ApiError("ResourceNotFound", f"{kind.name} {arn} does not exist.")
        return key, entity


def with_source(entity: Document) -> Document:
    """An entity with its source's URI beside its other members."""
    return {**entity, "SourceUri": entity["Source"]["SourceUri"]}


def key_of_source(source: Document) -> str:
    """The part of an ARN that stands for an artifact's source: the same for the same URI and types, in any order."""
    types = sorted((one["SourceIdType"], one["Value"]) for one in source.get("SourceTypes", ()))
    return hashlib.sha256(json.dumps([source["SourceUri"], types]).encode()).hexdigest()[:32]


def key_of_association(ends: Document) -> str:
    """What tells an association apart from others: its `SourceArn` and its `DestinationArn`."""
    return f"{ends['SourceArn']} {ends['DestinationArn']}"


def _check_properties(request: Request) -> None:
    for name, value in request.get("Properties", {}).items():
        if len(value) > _LONGEST_SHOWN:
            raise invalid(
                f"The local SageMaker does not support a property of {len(value)} characters ({name[:80]}): "
                f"{_LONGEST_SHOWN} is the most that AWS's service model lets an answer have."
            )


def _summary(kind: Kind, entity: Document) -> Document:
    name, arn, of = f"{kind.name}Name", f"{kind.name}Arn", f"{kind.name}Type"
    members = (arn, name, "Source", of, "Status", "CreationTime", "LastModifiedTime")
    found = {member: entity[member] for member in members if member in entity}
    return {**found, of: found[of][: _SHOWN_TYPE.get(kind.name)]}
