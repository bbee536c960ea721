"""Has a piece of a pipeline's definition the form that it must have? Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

SCALARS: Mapping[str, Any] = {"String": str, "Integer": int, "Float": (int, float), "Boolean": bool}
"""Types of parameters and outputs, and what their values are in JSON."""

NAME = re.compile(r"[A-Za-z0-9_-]+")
"""What the names of parameters, steps, files and outputs consist of."""


class Broken(Exception):
    """The text is no definition; the text of this says why."""


def require_members(what: str, document: Any, known: Collection[str], needed: Collection[str]) -> None:
    """Refuse what is no object, or has a member that it cannot have, or lacks one that it must have.

    Raises:
        Broken: It is so.
    """
    if not isinstance(document, Mapping):
        raise Broken(f"{what} is a JSON object, not {document!r:.200}")
    for name in document:
        if name not in known:
            raise Broken(f"{what} has an unknown member {name!r}; there are {', '.join(sorted(known))}")
    for name in sorted(needed):
        if name not in document:
            raise Broken(f"{what} has no {name}")


def items(what: str, found: Any) -> list[Any]:
    """The items of a list that may be missing or null.

    Raises:
        Broken: It is no list.
    """
    if found is None:
        return []
    if not isinstance(found, list):
        raise Broken(f"{what} is a list, not {found!r:.200}")
    return found


def one_of(what: str, found: Any, known: Collection[str]) -> str:
    """A word that is one of some.

    Raises:
        Broken: It is not.
    """
    if not isinstance(found, str) or found not in known:
        raise Broken(f"{what} is {found!r:.200}; it is one of {', '.join(known)}")
    return found


def text_of(what: str, found: Any) -> str:
    """A text that is not empty.

    Raises:
        Broken: It is none.
    """
    if not isinstance(found, str) or not found:
        raise Broken(f"{what} is a text, not {found!r:.200}")
    return found


def name_of(what: str, found: Any, longest: int) -> str:
    """A name.

    Raises:
        Broken: It is none, or longer than that many characters.
    """
    if not isinstance(found, str) or not NAME.fullmatch(found) or len(found) > longest:
        raise Broken(f"{what} {found!r:.200} is not of 1 to {longest} letters, digits, hyphens and underscores")
    return found
