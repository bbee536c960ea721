"""Policy documents of IAM and of resources, as plain statements.

Documents are found in any property, whatever the resource's type: a list of types would miss some.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelstack.policy import tokens
from modelstack.policy.rule import UNKNOWN, Declared, Values

_FIELDS = frozenset({"assumeRolePolicy", "policy", "policyDocument", "resourcePolicy"})
"""The properties of `tokens.HOLDERS` that hold only documents."""
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)


@dataclass(frozen=True)
class Document:
    """A policy document at a property such as `inlinePolicies[0].policy`; no statements where there is a `problem`."""

    where: str
    statements: tuple[Values, ...] = ()
    problem: str = ""


def documents(values: Any, *, fields: frozenset[str] = frozenset(), where: str = "") -> Iterator[Document]:
    """The documents in the properties of a resource, at any depth, below the path `where`.

    Documents with unknown parts are skipped. In `fields`, properties for documents only, anything else is a problem.
    """
    if isinstance(values, Mapping):
        below = [(f"{where}.{name}" if where else str(name), name in fields, each) for name, each in values.items()]
    else:
        below = [(f"{where}[{at}]", False, each) for at, each in enumerate(values)]
    for path, named, value in below:
        if isinstance(value, str):
            yield from _of_text(path, value, named)
        elif isinstance(value, Mapping) and (named or _says_so(value)):
            yield from () if _unknown(value) else [_of(path, value)]
        elif isinstance(value, (Mapping, list)):
            yield from documents(value, fields=fields, where=path)


def of(resource: Declared) -> Iterator[Document]:
    """The documents in a resource."""
    return documents(resource.values, fields=_FIELDS if resource.type in tokens.HOLDERS else frozenset())


def statements(resource: Declared) -> Iterator[Values]:
    """The statements of all readable documents of a resource."""
    return (statement for document in of(resource) for statement in document.statements)


def listed(value: Any) -> list[Any]:
    """A list, also for the single value or None that a document may have instead."""
    return value if isinstance(value, list) else [] if value is None else [value]


def allows(statement: Values) -> bool:
    """Whether its effect is Allow."""
    return statement["Effect"] == "Allow"


def _of_text(path: str, text: str, named: bool) -> Iterator[Document]:
    if not (text.strip() if named else text.lstrip().startswith("{")):
        return
    try:
        read = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        if named or "statement" in text.lower():
            yield Document(path, problem=f"it is not JSON, {error}")
        return
    if named or _says_so(read):
        yield _of(path, read)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object without duplicate names: which of two values IAM would take is not defined."""
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} stands in it twice")
    return made


def _says_so(value: Any) -> bool:
    return isinstance(value, Mapping) and any(str(name).lower() == "statement" for name in value)


def _unknown(value: Any) -> bool:
    if isinstance(value, (Mapping, list)):
        return any(map(_unknown, value.values() if isinstance(value, Mapping) else value))
    return value is UNKNOWN


def _of(path: str, read: Any) -> Document:
    if not isinstance(read, Mapping) or not read.get("Statement"):
        return Document(path, problem="it is no object with a Statement")
    said = listed(read["Statement"])
    problem = next((problem for each in said for problem in _problems(each)), "")
    return Document(path, () if problem else tuple(said), problem)


def _problems(statement: Any) -> Iterator[str]:
    """What is wrong with a statement, the worst first; nothing when IAM takes it."""
    if not isinstance(statement, Mapping):
        yield f"a statement is {statement!r}, expected an object"
        return
    if others := sorted(statement.keys() - _ELEMENTS):
        yield f"a statement has {others[0]!r}, expected {', '.join(sorted(_ELEMENTS))}"
    if statement.get("Effect") not in ("Allow", "Deny"):
        yield f"a statement's Effect is {statement.get('Effect')!r}, expected 'Allow' or 'Deny'"
    if ("Action" in statement) == ("NotAction" in statement):
        yield "a statement has none, or both, of Action and NotAction"
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        if name in statement and not _texts(statement[name]):
            yield f"a statement's {name} is {statement[name]!r}, expected a text or texts"
    for name in ("Principal", "NotPrincipal"):
        who = statement.get(name, "*")
        if who != "*" and not (isinstance(who, Mapping) and who and all(map(_texts, who.values()))):
            yield f"a statement's {name} is {who!r}, expected '*' or an object of texts"
    asked = statement.get("Condition", {})
    if not isinstance(asked, Mapping) or not all(isinstance(each, Mapping) for each in asked.values()):
        yield f"a statement's Condition is {asked!r}, expected an object of objects"


def _texts(value: Any) -> bool:
    return bool(listed(value)) and all(isinstance(each, str) and each for each in listed(value))
