"""What a rule is, and what it sees of a resource. No rule knows Pulumi: each is a function over plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

Values = Mapping[str, Any]


class _Unknown(Enum):
    """The one value that stands for what is not known before an update."""

    UNKNOWN = "not known before the update"


UNKNOWN: Final = _Unknown.UNKNOWN


class NotKnown(Exception):
    """A rule asks for a value that is not known before the update. The update itself, which knows it, asks again."""


@dataclass(frozen=True)
class Declared:
    """A resource as a rule sees it.

    Attributes:
        type: Pulumi's type token, such as `aws:s3/bucket:Bucket`.
        name: The logical name.
        urn: The URN; it names the stack.
        values: The properties, by their names in the engine (camelCase). What is not known is `UNKNOWN`.
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
        """The value at a path of property names; None where there is none.

        Raises:
            NotKnown: It is not known yet.
        """
        return value_at(self.values, *path)


def value_at(values: Any, *path: str) -> Any:
    """The value at a path below some values; None where there is none.

    Raises:
        NotKnown: It, or something that it lies in, is not known yet.
    """
    found = values
    for name in path:
        if found is UNKNOWN:
            raise NotKnown
        found = found.get(name) if isinstance(found, Mapping) else None
    if found is UNKNOWN:
        raise NotKnown
    return found


def items_at(values: Any, *path: str) -> list[Any]:
    """The items of the list at a path; none where there is no list.

    Raises:
        NotKnown: The list or one of its items is not known yet.
    """
    found = value_at(values, *path) or []
    if UNKNOWN in found:
        raise NotKnown
    return list(found)


Finding = tuple[Declared, str]
"""The resource that breaks a rule, and how."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One rule of the pack.

    Attributes:
        name: Its name, which exemptions and messages use.
        asks: What it asks, in a sentence.
        control: The control that it comes from, such as `Security Hub S3.17`.
        mend: What to do about a finding, in a sentence.
        advisory: Whether a finding is told and stops nothing.
        stacks: On which stacks it is asked, in words; empty for all.
        applies: Whether it is asked on the stack of a resource.
    """

    name: str
    asks: str
    control: str
    mend: str
    advisory: bool = False
    stacks: str = ""
    applies: Callable[[Declared], bool] = lambda _: True


@dataclass(frozen=True, kw_only=True)
class ResourceRule(Rule):
    """A rule about one resource, asked before the resource is made or changed.

    Attributes:
        types: The types of resources that it is about; None for all.
        check: Says how a resource breaks it, once for each way. What is not known yet is no finding.
    """

    types: frozenset[str] | None = None
    check: Callable[[Declared], Iterator[str]]

    def is_about(self, kind: str) -> bool:
        """Whether it is about resources of a type."""
        return self.types is None or kind in self.types

    def findings(self, resource: Declared) -> Iterator[Finding]:
        """How a resource breaks the rule; not at all when it is about other types or other stacks."""
        if not self.is_about(resource.type) or not self.applies(resource):
            return
        try:
            for text in self.check(resource):
                yield resource, text
        except NotKnown:
            return


@dataclass(frozen=True, kw_only=True)
class StackRule(Rule):
    """A rule about resources that belong together, asked when all of them are known to the engine.

    Attributes:
        check: Says which resource breaks it, and how. What is not known yet is no finding.
    """

    check: Callable[[Sequence[Declared]], Iterator[Finding]]

    def findings(self, resources: Sequence[Declared]) -> Iterator[Finding]:
        """How a stack breaks the rule; not at all on a stack where it is not asked."""
        if not resources or not any(map(self.applies, resources)):
            return
        try:
            yield from self.check(resources)
        except NotKnown:
            return


def of_type(resources: Sequence[Declared], *types: str) -> list[Declared]:
    """Those of some types."""
    return [resource for resource in resources if resource.type in types]
