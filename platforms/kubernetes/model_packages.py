"""The versions of a stack's model in a cluster: one ModelPackage for each package in an image, waiting for approval.

    versions = ModelPackages(api, "flight-delay-prod-3f0c1a2b4d5e", names.labels)
    versions.find(registered)              # models/flight-delay-prod-3f0c1a2b4d5e, or None

What it is never changes: its name is a digest of recipe and image. What was decided about it is its status, which the
rollout controller and `modelstack` write.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.pack import Registered
from platforms.kubernetes import names
from platforms.kubernetes.answers import Exists
from platforms.kubernetes.api import Api
from platforms.kubernetes.kinds import PACKAGE
from platforms.sealed_packages import REGISTERED_BY, TRAINED_BY, RegistryError
from provenance.evidence import Evidence
from rollout.core.errors import Conflict

PENDING = "PendingManualApproval"


@dataclass(frozen=True)
class ModelPackages:
    """`Catalogue` in a namespace.

    Attributes:
        api: The namespace.
        name: Of the ModelPackage of the release.
        labels: Of it.
    """

    api: Api
    name: str
    labels: Mapping[str, str]

    def find(self, package: Registered) -> str | None:
        """NAMESPACE/NAME of the version, or None.

        Raises:
            RegistryError: There is one of that name for other bytes or another image.
            RolloutError: The API server refuses, or does not answer.
        """
        found = self.api.find(PACKAGE, self.name)
        if found is None:
            return None
        wanted = _spec(package)
        for field in ("digest", "recipe", "image"):
            if found["spec"].get(field) != wanted[field]:
                raise RegistryError(
                    f"ModelPackage {self._version} has {field} {found['spec'].get(field)}, expected {wanted[field]}: "
                    "the same recipe has given other bytes, or somebody changed it. Delete it, if nothing serves it, "
                    "and run again"
                )
        self._wait_for_approval(found)
        return self._version

    def create(self, package: Registered, said: Evidence, lineage: Mapping[str, str]) -> str:
        """Add the version; returns NAMESPACE/NAME.

        Raises:
            RolloutError: The API server refuses, or does not answer.
        """
        told = {**lineage, REGISTERED_BY: self.api.user()}
        made = {
            "apiVersion": names.API_VERSION,
            "kind": names.PACKAGE,
            "metadata": {
                "name": self.name,
                "labels": dict(self.labels),
                "annotations": {_annotation(name): value for name, value in told.items()},
            },
            "spec": _spec(package),
        }
        try:
            self._wait_for_approval(self.api.create(PACKAGE, made, manager=names.PROGRAM))
        except Exists:  # another update of the stack was faster
            self.find(package)
        return self._version

    @property
    def _version(self) -> str:
        return f"{self.api.namespace}/{self.name}"

    def _wait_for_approval(self, found: Mapping[str, Any]) -> None:
        """Say that nothing is decided, where nothing is said."""
        if (found.get("status") or {}).get("approval"):
            return
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with suppress(Conflict):  # somebody has just decided
            self.api.replace_status(PACKAGE, {**found, "status": {"approval": PENDING, "why": "", "at": at}})


def made_by(api: Api, version: str) -> str:
    """Who made a version first; empty where nobody knows.

    Args:
        api: Of its cluster.
        version: NAMESPACE/NAME.
    """
    namespace, _, name = version.partition("/")
    return next(iter(makers(api.find(PACKAGE, name, namespace) or {})), "")


def makers(package: Mapping[str, Any]) -> list[str]:
    """Who made a ModelPackage's package first, where that is said, and then who registered it here."""
    told = (package.get("metadata") or {}).get("annotations") or {}
    return [told[_annotation(name)] for name in (TRAINED_BY, REGISTERED_BY) if told.get(_annotation(name))]


def told_of(package: Mapping[str, Any]) -> dict[str, str]:
    """What its making wrote down of a ModelPackage: who registered it, where it was taken from."""
    told = (package.get("metadata") or {}).get("annotations") or {}
    ours = {name.removeprefix(f"{names.GROUP}/"): value for name, value in told.items() if "/" in name}
    return {name.replace("-", "_"): value for name, value in sorted(ours.items()) if "/" not in name}


def _annotation(name: str) -> str:
    return f"{names.GROUP}/{name.replace('_', '-')}"


def _spec(package: Registered) -> dict[str, Any]:
    return {
        "digest": package.package_digest,
        "recipe": package.recipe,
        "image": package.image_uri,
        "manifestSha256": package.manifest_sha256,
        "archive": package.archive_uri,
        "metrics": dict(package.metrics),
    }
