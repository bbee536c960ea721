"""What stacks know about a package, before it becomes a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelstack.records.audit.record import AuditRecord


@dataclass(frozen=True)
class LineageVersion:
    """One registered version; `more` is metadata such as `promoted_from` and `retrained_from`."""

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
        name: The stack's name; the endpoint's if it was named without a stack.
        records: The whole audit record of the endpoint, in order, including what waits and unrecorded approvals.
        champion_digest: The package of the release that serves.
        keys: Key id -> whether its signature of the package was verified.
    """

    name: str
    endpoint: str
    versions: tuple[LineageVersion, ...] = ()
    records: tuple[AuditRecord, ...] = ()
    champion: str = ""
    champion_digest: str = ""
    keys: Mapping[str, bool] = field(default_factory=dict[str, bool])

    def releases(self, digest: str) -> frozenset[str]:
        """The ids of the releases of a package here: one per image."""
        found = {one.release for one in self.versions if one.digest == digest}
        found |= {str(one.what["release"]) for one in self.records if one.what.get("package") == digest}
        return frozenset(found | ({self.champion} if self.champion_digest == digest else set())) - {""}


def version_name(arn: str) -> str:
    """The name of `arn:...:model-package/<group>/<number>` for a person: `<group> version <number>`."""
    _, group, number = arn.rsplit("/", 2) if arn.count("/") >= 2 else ("", arn, "")
    return f"{group} version {number}".removesuffix(" version ")
