"""What a rule is, and how it sees a resource. Rules are functions over plain values, independent of Pulumi."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

Values = Mapping[str, Any]


class _Unknown(Enum):
    UNKNOWN = "not known before the update"


UNKNOWN: Final = _Unknown.UNKNOWN


class NotKnown(Exception):
    """A value is not known before the update; the rule runs again during the update."""


@dataclass(frozen=True)
class Declared:
    """A resource as a rule sees it.

    Attributes:
        type: Pulumi's type token, such as `aws:s3/bucket:Bucket`.
        name: The logical name.
        values: The properties in camelCase, `UNKNOWN` where not known yet.
        default_tags: The tags that its provider gives to every resource.
    """

    type: str
    name: str
    urn: str
    values: Values
    default_tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """The name of the stack."""
        return self.urn.removeprefix("urn:pulumi:").partition("::")[0]

    def get(self, *path: str) -> Any:
        """See `value_at`."""
        return value_at(self.values, *path)


def value_at(values: Any, *path: str) -> Any:
    """The value at a path of property names; None where there is none. Raises NotKnown if it is not known yet."""
    found = values
    for name in path:
        if found is UNKNOWN:
            raise NotKnown
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is UNKNOWN:
        raise NotKnown
    return found


def items_at(values: Any, *path: str) -> list[Any]:
    """The items of the list at a path; none where there is no list. Raises NotKnown if any is not known yet."""
    found = value_at(values, *path) or []
    if UNKNOWN in found:
        raise NotKnown
    return list(found)


Finding = tuple[Declared, str]
"""A resource that breaks a rule, and how."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the pack.

    Attributes:
        requires: The requirement, in a sentence.
        control: Its source, such as `Security Hub S3.17`.
        fix: How to fix a finding, in a sentence.
        advisory: Whether a finding is reported but stops nothing.
        stacks: Where it applies, in words; empty for all.
        applies: Whether it applies to the stack of a resource.
    """

    name: str
    requires: str
    control: str
    fix: str
    advisory: bool = False
    stacks: str = ""
    applies: Callable[[Declared], bool] = lambda _: True


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """A rule about one resource, checked before the resource is created or changed.

    Attributes:
        types: None for all.
        check: Yields each way in which a resource breaks it. Unknown values are no finding.
    """

    types: frozenset[str] | None = None
    check: Callable[[Declared], Iterator[str]]

    def is_about(self, kind: str) -> bool:
        """Whether it is about resources of a type."""
        return self.types is None or kind in self.types

    def findings(self, resource: Declared) -> Iterator[Finding]:
        """The findings on a resource; none for other types or other stacks."""
        if not self.is_about(resource.type) or not self.applies(resource):
            return
        try:
            for text in self.check(resource):
                yield resource, text
        except NotKnown:
            return


@dataclass(frozen=True, kw_only=True)
class StackRule(Rule):
    """A rule about related resources, checked at the end, when the engine knows all of them."""

    check: Callable[[Sequence[Declared]], Iterator[Finding]]

    def findings(self, resources: Sequence[Declared]) -> Iterator[Finding]:
        """The findings on a stack; none where the rule does not apply."""
        if not resources or not any(map(self.applies, resources)):
            return
        try:
            yield from self.check(resources)
        except NotKnown:
            return


def of_type(resources: Sequence[Declared], *types: str) -> list[Declared]:
    """The resources of some types."""
    return [resource for resource in resources if resource.type in types]
