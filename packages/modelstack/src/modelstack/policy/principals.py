"""The principals of a statement: named ones, or everybody."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from modelstack.policy.documents import allows, listed
from modelstack.policy.rule import Values

_NAMING = frozenset({"ArnEquals", "ArnLike", "IpAddress", "StringEquals", "StringEqualsIgnoreCase", "StringLike"})
"""Operators that match only what they name. Negated ones (`...NotEquals`), and those that match a missing key
(`...IfExists`, `ForAllValues:...`), restrict nobody."""
WILD = "*?$"
"""Wildcards, and the beginning of a variable that the request fills."""
_MOST = {4: 2**24, 6: 2**96}
"""The most addresses of one owner, by IP version: a range of /8, and of /32."""
_EMBEDDING = ip_network("::/8")
"""Addresses of IPv6 that stand for those of IPv4."""


def are_narrow(ranges: Iterable[Any]) -> bool:
    """Whether ranges of addresses are together small enough to have one owner, however they are cut up."""
    try:
        networks = {ip_network(str(each), strict=False) for each in ranges}
    except ValueError:
        return False
    if any(network.version == 6 and network.overlaps(_EMBEDDING) for network in networks):
        return False
    sizes = {way: sum(each.num_addresses for each in networks if each.version == way) for way in _MOST}
    return all(sizes[way] <= most for way, most in _MOST.items())


def is_narrow(addresses: Any) -> bool:
    """Whether a range of addresses is small enough to have one owner."""
    return are_narrow([addresses])


def is_open(name: Any) -> bool:
    """Whether a text has a wildcard or is empty."""
    return not name or any(mark in str(name) for mark in WILD)


def names_owner(arn: Any) -> bool:
    """Whether an ARN names an account or, as for a bucket, a resource without one."""
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
"""Condition keys that identify the caller, in lower case, and whether a value identifies one.

Source: Amazon S3 User Guide, "The meaning of public".
"""


def _subject(value: Any) -> bool:
    """Whether a subject of an identity provider names a repository (`repo:owner/name:...`), or is one subject."""
    kind, _, rest = str(value).partition(":")
    place = rest.partition(":")[0]
    return not is_open(kind + place) if "/" in place else not is_open(value)


def openings(statement: Values, *, trust: bool = False) -> Iterator[str]:
    """How a statement allows something to principals that it does not name.

    `trust` marks a role's trust policy: AWS services assume roles only for their own account.
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


def addresses(statement: Values) -> list[str]:
    """The ranges of addresses from which a statement allows something to everybody."""
    conditions = (statement.get("Condition") or {}).values() if allows(statement) and _everybody(statement) else ()
    return [
        str(each)
        for asked in conditions
        for key, values in asked.items()
        if key.lower() == "aws:sourceip"
        for each in listed(values)
    ]


def refuses_without_tls(statement: Values) -> bool:
    """Whether a statement refuses everybody without TLS, unconditionally."""
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
    """By a wildcard, or by NotPrincipal."""
    named = statement.get("Principal")
    people = [each for given in named.values() for each in listed(given)] if isinstance(named, Mapping) else [named]
    return "NotPrincipal" in statement or any(who is not None and is_open(who) for who in people)


def _asks(statement: Values, keys: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Whether a condition restricts the caller by one of the keys."""
    for operator, asked in (statement.get("Condition") or {}).items():
        if operator.removeprefix("ForAnyValue:") not in _NAMING:
            continue
        for key, values in asked.items():
            test = keys.get(key.lower())
            if test and listed(values) and all(map(test, listed(values))):
                return True
    return False


def _asks_subject(statement: Values, provider: str) -> bool:
    """Whether conditions restrict the audience and the subject of an identity provider's token."""
    if ":saml-provider/" in provider:
        return _asks(statement, {"saml:aud": _whole})
    host = provider.partition(":oidc-provider/")[2] or provider
    aud, sub = f"{host}:aud".lower(), f"{host}:sub".lower()
    return _asks(statement, {aud: _whole}) and _asks(statement, {sub: _subject})
