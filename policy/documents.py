"""What a policy document of IAM, or of a resource, says: its statements, as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policy.rule import Declared, Values

TRUST = "assumeRolePolicy"
_FIELDS = ("policy", TRUST)
"""The properties that hold a document."""


def statements(resource: Declared, *fields: str) -> Iterator[Values]:
    """The statements of the documents that a resource holds.

    Args:
        resource: Any resource.
        fields: The properties to read; none for all that may hold a document.

    Raises:
        NotKnown: A document is not known yet.
    """
    for name in fields or _FIELDS:
        document = resource.get(name)
        if document:
            yield from _of(document)
    if not fields:
        for inline in resource.get("inlinePolicies") or []:
            if isinstance(inline, dict) and inline.get("policy"):
                yield from _of(inline["policy"])


def _of(document: Any) -> list[Values]:
    read = json.loads(document) if isinstance(document, str) else document
    return listed(read.get("Statement")) if isinstance(read, dict) else []


def listed(value: Any) -> list[Any]:
    """A list, also of the one value that a document may hold in its place."""
    return value if isinstance(value, list) else [] if value is None else [value]


def allows(statement: Values) -> bool:
    """Whether a statement allows something."""
    return statement.get("Effect") == "Allow"


def principals(statement: Values) -> list[str]:
    """Whom a statement is about; `*` is everybody."""
    named = statement.get("Principal")
    if isinstance(named, dict):
        return [str(who) for of_kind in named.values() for who in listed(of_kind)]
    return [str(who) for who in listed(named)]


def refuses_without_tls(statement: Values) -> bool:
    """Whether a statement refuses everybody who does not use TLS."""
    secure = (statement.get("Condition") or {}).get("Bool", {}).get("aws:SecureTransport")
    denies = statement.get("Effect") == "Deny" and "*" in principals(statement)
    return denies and str(secure).lower() == "false"
