"""What is known about a package on a stack, before it becomes a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from audit.record import AuditRecord


@dataclass(frozen=True)
class LineageVersion:
    """One registered version.

    Attributes:
        arn: Its ARN.
        created: When it was registered.
        release: The id of its release.
        digest: The package digest, `sha256:<hex>`.
        recipe: The recipe digest, hex.
        image: The serving image.
        archive: Where the archive is stored.
        approval: Its approval status.
        why: The words of its approval; empty without any.
        by: Who registered it.
        more: What else its making wrote down, such as `promoted_from` and `retrained_from`.
    """

    arn: str
    created: str
    release: str
    digest: str
    recipe: str
    image: str = ""
    archive: str = ""
    approval: str = ""
    why: str = ""
    by: str = ""
    more: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Stack:
    """What one stack knows.

    Attributes:
        name: The stack's name; the endpoint's where it was named without a stack.
        endpoint: Its endpoint.
        versions: The versions of the package, oldest first.
        records: The whole audit record of the endpoint, in order, what waits and unrecorded agreements included.
        champion: The id of the release that serves by the journal; empty when none does.
        champion_digest: Its package.
        keys: The ids of the keys that signed the package, with whether its signature was verified.
    """

    name: str
    endpoint: str
    versions: tuple[LineageVersion, ...] = ()
    records: tuple[AuditRecord, ...] = ()
    champion: str = ""
    champion_digest: str = ""
    keys: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def releases(self, digest: str) -> frozenset[str]:
        """The ids of the releases of a package here: one for each image."""
        found = {one.release for one in self.versions if one.digest == digest}
        found |= {str(one.what["release"]) for one in self.records if one.what.get("package") == digest}
        return frozenset(found | ({self.champion} if self.champion_digest == digest else set())) - {""}


def version_name(arn: str) -> str:
    """`arn:...:model-package/<group>/<number>` as a person reads it: `<group> version <number>`."""
    _, group, number = arn.rsplit("/", 2) if arn.count("/") >= 2 else ("", arn, "")
    return f"{group} version {number}".removesuffix(" version ")
