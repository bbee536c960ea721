"""What a policy document of IAM, or of a resource, says: its statements, as plain values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from policy.rule import Declared, Values

TRUST = "assumeRolePolicy"
_FIELDS = ("policy", TRUST)
"""The properties that hold a document."""
_NAMING = frozenset({"ArnEquals", "ArnLike", "IpAddress", "StringEquals", "StringEqualsIgnoreCase", "StringLike"})
_WHO = frozenset(
    {
        *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
        *("aws:sourceaccount", "aws:sourcearn", "aws:sourceip", "aws:sourceorgid", "aws:sourceowner"),
        *("aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:vpcsourceip", "kms:calleraccount"),
        *("s3:dataaccesspointaccount", "s3:dataaccesspointarn"),
    }
)
"""Keys of a condition that say who asks, in small letters. Source: Amazon S3 User Guide, "The meaning of public"."""
_ANY = frozenset({"*", "0.0.0.0/0", "::/0"})


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


def everybody(statement: Values) -> bool:
    """Whether a statement is about everybody: by name, or by all but those it names."""
    named = statement.get("Principal")
    people = listed(named.get("AWS")) if isinstance(named, dict) else listed(named)
    return "*" in people or "NotPrincipal" in statement


def says_who(statement: Values) -> bool:
    """Whether a condition of a statement leaves out whoever is not named.

    A condition on something else, such as TLS or the time, does not. Nor does one that holds where a key is missing
    (`...IfExists`, `ForAllValues:...`, `...NotEquals`), or for every value.
    """
    for operator, asked in (statement.get("Condition") or {}).items():
        if operator.removeprefix("ForAnyValue:") not in _NAMING or not isinstance(asked, dict):
            continue
        for key, values in asked.items():
            if key.lower() in _WHO and not _ANY.intersection(listed(values)):
                return True
    return False


def refuses_without_tls(statement: Values) -> bool:
    """Whether a statement refuses everybody who does not use TLS, under no further condition."""
    if statement.get("Effect") != "Deny" or not everybody(statement):
        return False
    if "NotPrincipal" in statement or "NotAction" in statement:
        return False
    conditions = [
        (operator, key.lower(), [str(value).lower() for value in listed(values)])
        for operator, asked in (statement.get("Condition") or {}).items()
        for key, values in asked.items()
    ]
    return conditions in [[(operator, "aws:securetransport", ["false"])] for operator in ("Bool", "BoolIfExists")]
