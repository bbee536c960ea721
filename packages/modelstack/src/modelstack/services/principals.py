"""The person behind an identity, and its form in a registered version: the same on every platform."""

from __future__ import annotations

import re

_NOT_IN_METADATA = re.compile(r"[^\w .:/=+@-]")


def person(identity: str) -> str:
    """The name of the user or of the role session: a person is the same in every role."""
    return identity.rpartition("/")[2]


def as_metadata(identity: str) -> str:
    """An identity as a version's metadata can hold it: AWS does not allow all characters there."""
    return _NOT_IN_METADATA.sub("_", identity)[:256]
