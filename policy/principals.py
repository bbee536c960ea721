"""Whom does a statement allow something: somebody whom it names, or whoever asks?"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from policy.documents import allows, listed
from policy.rule import Values

_NAMING = frozenset({"ArnEquals", "ArnLike", "IpAddress", "StringEquals", "StringEqualsIgnoreCase", "StringLike"})
"""Operators that hold for what they name alone. Those for all else (`...NotEquals`), or that hold where a key is
missing (`...IfExists`, `ForAllValues:...`), name nobody."""
WILD = "*?$"
"""What stands for more than one: wildcards, and how a variable begins that the request fills."""
_NARROWEST = {4: 8, 6: 32}
"""How many bits a range of addresses fixes at least, by the version of IP, to be somebody's."""


def is_narrow(addresses: Any) -> bool:
    """Whether a range of addresses is small enough to be somebody's."""
    try:
        network = ip_network(str(addresses), strict=False)
    except ValueError:
        return False
    return network.prefixlen >= _NARROWEST[network.version]


def is_open(name: Any) -> bool:
    """Whether a text stands for more than one, or for none."""
    return not name or any(mark in str(name) for mark in WILD)


def names_owner(arn: Any) -> bool:
    """Whether an ARN names an account or, as a bucket's does, a resource of no account."""
    _, _, _, _, account, resource = (*str(arn).split(":", 5), *[""] * 6)[:6]
    return not is_open(account) if account else not is_open(re.split("[:/]", resource)[0])


def _first(separator: str) -> Callable[[Any], bool]:
    return lambda value: not is_open(str(value).partition(separator)[0])


def _whole(value: Any) -> bool:
    return not is_open(value)


_SOURCES: Mapping[str, Callable[[Any], bool]] = {
    "aws:sourceaccount": _whole,
    "aws:sourcearn": names_owner,
    "aws:sourceorgid": _whole,
    "aws:sourceorgpaths": _first("/"),
    "aws:sourceowner": _whole,
}
_WHO: Mapping[str, Callable[[Any], bool]] = {
    **_SOURCES,
    "aws:principalaccount": _whole,
    "aws:principalarn": names_owner,
    "aws:principalorgid": _whole,
    "aws:principalorgpaths": _first("/"),
    "aws:sourceip": is_narrow,
    "aws:sourcevpc": _whole,
    "aws:sourcevpce": _whole,
    "aws:userid": _first(":"),
    "kms:calleraccount": _whole,
    "s3:dataaccesspointaccount": _whole,
    "s3:dataaccesspointarn": names_owner,
}
"""Keys of a condition that say who asks, in small letters, and whether a value names somebody.

Source: Amazon S3 User Guide, "The meaning of public".
"""


def _subject(value: Any) -> bool:
    """Whether a subject of an identity provider names a repository (`repo:owner/name:...`), or is one subject."""
    kind, _, rest = str(value).partition(":")
    place = rest.partition(":")[0]
    return not is_open(kind + place) if "/" in place else not is_open(value)


def openings(statement: Values, *, trust: bool = False) -> Iterator[str]:
    """How a statement allows something to people, or for people, whom it does not name.

    Args:
        statement: One that `documents` has read.
        trust: Whether it says who may assume a role: AWS's services do so for their own account.
    """
    if not allows(statement):
        return
    what = ", ".join(map(str, listed(statement.get("Action")))) or "all but some actions"
    if _everybody(statement) and not _asks(statement, _WHO):
        yield f"a statement allows {what} to everybody"
    principal = statement.get("Principal")
    if not isinstance(principal, Mapping):
        return
    if principal.get("Service") and not trust and not _asks(statement, _SOURCES):
        services = ", ".join(listed(principal["Service"]))
        yield f"a statement allows {what} to {services} for everybody: no condition names a source"
    for provider in listed(principal.get("Federated")):
        if not _asks_subject(statement, provider):
            yield f"a statement allows {what} to everybody whom {provider} knows: no condition names aud and sub"


def refuses_without_tls(statement: Values) -> bool:
    """Whether a statement refuses everybody who does not use TLS, under no further condition."""
    if allows(statement) or "NotAction" in statement or not _names_all(statement):
        return False
    conditions = [
        (operator, key.lower(), [str(value).lower() for value in listed(values)])
        for operator, asked in (statement.get("Condition") or {}).items()
        for key, values in asked.items()
    ]
    return conditions in [[(operator, "aws:securetransport", ["false"])] for operator in ("Bool", "BoolIfExists")]


def _names_all(statement: Values) -> bool:
    named = statement.get("Principal")
    return "*" in (listed(named.get("AWS")) if isinstance(named, Mapping) else listed(named))


def _everybody(statement: Values) -> bool:
    """Whether a statement is about everybody: by a wildcard, or by all but those whom it names."""
    named = statement.get("Principal")
    people = [each for given in named.values() for each in listed(given)] if isinstance(named, Mapping) else [named]
    return "NotPrincipal" in statement or any(who is not None and is_open(who) for who in people)


def _asks(statement: Values, keys: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Whether a condition leaves out whoever is not named. One on something else, such as TLS or the time, does not."""
    for operator, asked in (statement.get("Condition") or {}).items():
        if operator.removeprefix("ForAnyValue:") not in _NAMING:
            continue
        for key, values in asked.items():
            test = keys.get(key.lower())
            if test and listed(values) and all(map(test, listed(values))):
                return True
    return False


def _asks_subject(statement: Values, provider: str) -> bool:
    """Whether conditions name for whom, and to whom, a provider of identities has given a token."""
    if ":saml-provider/" in provider:
        return _asks(statement, {"saml:aud": _whole})
    host = provider.partition(":oidc-provider/")[2] or provider
    aud, sub = f"{host}:aud".lower(), f"{host}:sub".lower()
    return _asks(statement, {aud: _whole}) and _asks(statement, {sub: _subject})
