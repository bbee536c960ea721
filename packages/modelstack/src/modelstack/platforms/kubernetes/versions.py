"""`Versions` in a cluster: a ModelPackage for each package in an image, pending approval.

Its spec never changes: the name is a digest of recipe and image. The controller and `modelstack` write decisions to its
status.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast, get_args

from modelstack.platforms.clock import SystemClock
from modelstack.platforms.kubernetes import names
from modelstack.platforms.kubernetes.answers import Exists
from modelstack.platforms.kubernetes.api import Api, Object
from modelstack.platforms.kubernetes.api_requests import timestamp
from modelstack.platforms.kubernetes.kinds import PACKAGE
from modelstack.rollout.core.errors import Busy, Conflict, RolloutError
from modelstack.rollout.core.live import Approval
from modelstack.services.sealed_packages import REGISTERED_BY, RegistryError
from modelstack.services.versions import PENDING, Version, Versions

if TYPE_CHECKING:  # the controller decides about versions, and has no pipeline; a training job has no rollout
    from modelstack.pipeline.pack import Registered
    from modelstack.records.provenance.evidence import Attestation
    from modelstack.rollout.controller.ports import Clock

_GROUP = f"{names.GROUP}/"
_ATTEMPTS = 8
_WHY = 4096  # characters of a reason


@dataclass(frozen=True)
class ModelPackages(Versions):
    """`Versions` and `Registry` in a namespace. Without an endpoint it only reads by name; `name` is the one to add."""

    api: Api
    endpoint: str = ""
    name: str = ""
    clock: Clock = field(default_factory=SystemClock)

    def list(self, about: str = "") -> Iterator[Version]:
        found = sorted(self.api.list(PACKAGE, {names.ENDPOINT: self.endpoint}), key=_made)
        every = [version_of(item, number) for number, item in enumerate(found, 1)]
        return (one for one in reversed(every) if about in {"", one.recipe, one.package_digest})

    def get(self, name: str) -> Version | None:
        """See `Versions`; by NAMESPACE/NAME."""
        namespace, _, object_name = name.partition("/")
        found = self.api.find(PACKAGE, object_name, namespace)
        return version_of(found) if found else None

    def add(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        """See `Versions`; the signed documents are in the store."""
        found = self.api.find(PACKAGE, self.name)
        if found is None:
            try:
                found = self.api.create(PACKAGE, self._new(package, lineage), manager=names.PROGRAM)
            except Exists:  # another update of the stack was faster
                found = self.api.get(PACKAGE, self.name)
        version, wanted = f"{self.api.namespace}/{self.name}", _spec(package)
        for name in ("digest", "recipe", "image"):
            if found["spec"].get(name) != wanted[name]:
                raise RegistryError(
                    f"ModelPackage {version} has {name} {found['spec'].get(name)}, expected {wanted[name]}: "
                    "the same recipe has given other bytes, or somebody changed it. Delete it, if nothing serves it, "
                    "and run again"
                )
        if not (found.get("status") or {}).get("approval"):
            with suppress(Conflict):  # somebody has just decided
                self.api.replace_status(PACKAGE, {**found, "status": self._decision(PENDING, "")})
        return version

    def approval(self, package: str) -> Approval:
        """See `Registry`, by NAMESPACE/NAME; pending before a decision. Raises NotFound."""
        found = self.api.get(PACKAGE, self._name(package))
        value = (found.get("status") or {}).get("approval") or PENDING
        if value not in get_args(Approval):
            raise RolloutError(
                f"ModelPackage {package}: status.approval: got {value!r}, allowed is {', '.join(get_args(Approval))}"
            )
        return cast(Approval, value)

    def set_approval(self, package: str, approval: Approval, why: str) -> None:
        """See `Registry`; unchanged values are not written."""
        decision = self._decision(approval, " ".join(why.split())[:_WHY])

        def decided(found: Object) -> dict[str, str] | None:
            before = found.get("status") or {}
            return None if all(before.get(key) == decision[key] for key in ("approval", "why")) else decision

        change_status(self.api, self._name(package), f"set package {package} to {approval}", decided)

    def _decision(self, approval: str, why: str) -> dict[str, str]:
        return {"approval": approval, "why": why, "at": timestamp(self.clock.time())}

    def _name(self, package: str) -> str:
        namespace, _, name = package.partition("/")
        if namespace != self.api.namespace or not name:
            raise RolloutError(f"package {package!r}: expected NAMESPACE/NAME in namespace {self.api.namespace}")
        return name

    def _new(self, package: Registered, lineage: Mapping[str, str]) -> dict[str, Any]:
        notes = {**lineage, REGISTERED_BY: self.api.user()}
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.PACKAGE,
            "metadata": {
                "name": self.name,
                "labels": names.labels_of(self.endpoint),
                "annotations": {f"{_GROUP}{name.replace('_', '-')}": value for name, value in notes.items()},
            },
            "spec": _spec(package),
        }


def change_status(api: Api, name: str, doing: str, change: Callable[[Object], Mapping[str, Any] | None]) -> Object:
    """Update fields of a ModelPackage's status, with retries after conflicts; returns the stored object.

    `change` returns the fields to set, or None for no change; `doing` is the action, for messages. Raises Busy if
    others keep writing it.
    """
    for _ in range(_ATTEMPTS):
        found = api.get(PACKAGE, name)
        fields = change(found)
        if fields is None:
            return found
        metadata = {key: item for key, item in found["metadata"].items() if key != "managedFields"}
        status = {**(found.get("status") or {}), **fields}
        with suppress(Conflict):
            return api.replace_status(PACKAGE, {**found, "metadata": metadata, "status": status})
    raise Busy(f"{doing}: others write its ModelPackage all the time")


def _made(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]


def version_of(item: Mapping[str, Any], number: int = 0) -> Version:
    """The version in a ModelPackage; `number` is its position by creation time."""
    spec, status, metadata = item["spec"], item.get("status") or {}, item["metadata"]
    notes: Mapping[str, str] = metadata.get("annotations") or {}
    ours = {name.removeprefix(_GROUP): value for name, value in notes.items() if name.startswith(_GROUP)}
    return Version(
        name=f"{metadata['namespace']}/{metadata['name']}",
        number=number,
        recipe=spec.get("recipe", ""),
        package_digest=spec.get("digest", ""),
        manifest_sha256=spec.get("manifestSha256", ""),
        archive_uri=spec.get("archive", ""),
        image_uri=spec.get("image", ""),
        approval=status.get("approval", PENDING),
        why=status.get("why", ""),
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        metrics={name: _digits(value) for name, value in sorted((spec.get("metrics") or {}).items())},
        lineage={name.replace("-", "_"): value for name, value in ours.items()},
    )


def _digits(value: Any) -> str:
    """A metric with as many digits as AWS's registry stores."""
    return f"{value:.6g}" if isinstance(value, (int, float)) else str(value)


def _spec(package: Registered) -> dict[str, Any]:
    return {
        "digest": package.package_digest,
        "recipe": package.recipe,
        "image": package.image_uri,
        "manifestSha256": package.manifest_sha256,
        "archive": package.archive_uri,
        "metrics": dict(package.metrics),
    }
