"""Who is behind an identity, and how a registered version holds it: the same on every platform."""

from __future__ import annotations

import re

_NOT_IN_METADATA = re.compile(r"[^\w .:/=+@-]")


def person(identity: str) -> str:
    """Who is behind an identity: the user's name, or that of the session in which somebody has taken a role.

    One who takes two roles, or a role beside their user, is the same person.
    """
    return identity.rpartition("/")[2]


def as_metadata(identity: str) -> str:
    """An identity as a registered version's metadata can hold it: AWS does not allow all signs of a name there."""
    return _NOT_IN_METADATA.sub("_", identity)[:256]
