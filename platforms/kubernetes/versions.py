"""`Versions` in a cluster: one ModelPackage for each package in an image, waiting for approval.

    ModelPackages(api, "flight-delay-prod", "flight-delay-prod-3f0c1a2b4d5e").add(registered, evidence, {})

What it is never changes: its name is a digest of recipe and image. What was decided about it is its status, which the
rollout controller and `modelstack` write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.pack import Registered
from platforms.kubernetes import names
from platforms.kubernetes.answers import Exists
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import PACKAGE
from provenance.evidence import Evidence
from rollout.core.errors import Conflict
from services.sealed_packages import REGISTERED_BY, RegistryError
from services.versions import PENDING, Version

_GROUP = f"{names.GROUP}/"


@dataclass(frozen=True)
class ModelPackages:
    """`Versions` in a namespace.

    Attributes:
        api: The namespace.
        endpoint: What the names of the stack begin with; empty where versions are only read by their names.
        name: Of the ModelPackage that is added; empty where none is.
    """

    api: Api
    endpoint: str = ""
    name: str = ""

    def list(self, about: str = "") -> Iterator[Version]:
        """See `Versions`.

        Raises:
            RolloutError: The API server refuses, or does not answer.
        """
        found = sorted(self.api.list(PACKAGE, {names.ENDPOINT: self.endpoint}), key=_made)
        every = [version_of(item, number) for number, item in enumerate(found, 1)]
        return (one for one in reversed(every) if about in {"", one.recipe, one.package_digest})

    def get(self, name: str) -> Version | None:
        """See `Versions`; by NAMESPACE/NAME."""
        namespace, _, object_name = name.partition("/")
        found = self.api.find(PACKAGE, object_name, namespace)
        return version_of(found) if found else None

    def digests(self) -> Mapping[str, str]:
        """See `Versions`."""
        return {one.name: one.package_digest for one in self.list() if one.package_digest}

    def add(self, package: Registered, evidence: Evidence, lineage: Mapping[str, str]) -> str:
        """See `Versions`; what was signed is in the store.

        Raises:
            RolloutError: The API server refuses, or does not answer.
        """
        found = self.api.find(PACKAGE, self.name)
        if found is None:
            try:
                found = self.api.create(PACKAGE, self._new(package, lineage), manager=names.PROGRAM)
            except Exists:  # another update of the stack was faster
                found = self.api.get(PACKAGE, self.name)
        version, wanted = f"{self.api.namespace}/{self.name}", _spec(package)
        for field in ("digest", "recipe", "image"):
            if found["spec"].get(field) != wanted[field]:
                raise RegistryError(
                    f"ModelPackage {version} has {field} {found['spec'].get(field)}, expected {wanted[field]}: "
                    "the same recipe has given other bytes, or somebody changed it. Delete it, if nothing serves it, "
                    "and run again"
                )
        if not (found.get("status") or {}).get("approval"):
            at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            with suppress(Conflict):  # somebody has just decided
                self.api.replace_status(PACKAGE, {**found, "status": {"approval": PENDING, "why": "", "at": at}})
        return version

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


def _made(item: Mapping[str, Any]) -> tuple[str, str]:
    return item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]


def version_of(item: Mapping[str, Any], number: int = 0) -> Version:
    """What a ModelPackage says; its number is its place in the order in which they were made."""
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
    """A metric with the digits that AWS's registry keeps of it."""
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
