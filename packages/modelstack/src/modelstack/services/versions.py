"""The versions of a stack's model in its registry, and how one is found among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from modelstack.services.sealed_packages import REGISTERED_BY, TRAINED_BY

if TYPE_CHECKING:
    from modelstack.pipeline.pack import Registered
    from modelstack.records.provenance.evidence import Attestation

PENDING = "PendingManualApproval"
_NEWEST = 100


@dataclass(frozen=True)
class Version:
    """A registered package in an image.

    Attributes:
        name: Unique over all stacks that promote to each other: an ARN on AWS, NAMESPACE/NAME on Kubernetes.
        number: Its place in the order of creation, from 1; 0 if it was not fetched.
        recipe: The digest of its recipe; empty if modelstack has not registered it.
        package_digest: `sha256:<hex>` of its archive.
        manifest_sha256: Hex.
        why: The reason for its approval status.
        metrics: The metrics of its evaluation, to six digits.
        lineage: Its other metadata, such as who registered it and the origin of a copy.
    """

    name: str
    number: int
    recipe: str
    package_digest: str
    manifest_sha256: str
    archive_uri: str
    image_uri: str
    approval: str
    why: str
    created: datetime
    metrics: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    lineage: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)

    @property
    def release(self) -> str:
        """The id of its release; empty without a recipe."""
        from modelstack.rollout.core.release import release_id  # noqa: PLC0415  a training job registers, and has no rollout

        return release_id(self.recipe, self.image_uri) if self.recipe else ""

    @property
    def made_by(self) -> tuple[str, ...]:
        """Who made the package first, if known, then who registered it here."""
        return tuple(self.lineage[name] for name in (TRAINED_BY, REGISTERED_BY) if self.lineage.get(name))


class Versions(Protocol):
    """The registry of one stack's model. Its approvals are set by `modelstack.rollout.controller.ports.Registry`."""

    def list(self, about: str = "") -> Iterator[Version]:
        """The versions, newest first; with a digest of a package or recipe, others may be left out."""

    def add(self, package: Registered, evidence: Attestation, lineage: Mapping[str, str]) -> str:
        """Add a version pending approval, unless it exists; returns its name. `RegistryError` if the name is taken."""

    def get(self, name: str) -> Version | None:
        """One version by its name, whose number may be 0; None if there is none."""
        return next((one for one in self.list() if one.name == name), None)

    def digests(self) -> Mapping[str, str]:
        """Name -> package digest of every version, newest first."""
        return {one.name: one.package_digest for one in self.list() if one.package_digest}


def find(versions: Versions, package_digest: str, image_uri: str) -> Version | None:
    """The newest version of a package in an image."""
    found = versions.list(package_digest)
    return next((one for one in found if (one.package_digest, one.image_uri) == (package_digest, image_uri)), None)


def of_recipe(versions: Versions, recipe: str) -> Version | None:
    """The newest version of a recipe; nothing of it is verified."""
    found = versions.list(recipe)
    return next((one for one in found if one.recipe == recipe and one.archive_uri and one.package_digest), None)


def of_release(versions: Versions, release: str, most: int = _NEWEST) -> Version | None:
    """The newest version of a release among the `most` newest versions."""
    return next((one for one in islice(versions.list(), most) if one.release == release), None)


@dataclass(frozen=True)
class PastReleases:
    """Versions of releases that have left the journal, by the name of a registry and a variant.

    One that was found is remembered, since it never changes.
    """

    registry: Callable[[str], Versions]
    _found: dict[tuple[str, str], Version] = field(default_factory=dict[tuple[str, str], Version])

    def find(self, name: str, variant: str) -> Version | None:
        """The newest version of a variant in the registry of this name; None if it is not there yet."""
        version = self._found.get((name, variant)) or of_release(self.registry(name), variant.removeprefix("v-"))
        if version is not None:
            self._found[name, variant] = version
        return version
