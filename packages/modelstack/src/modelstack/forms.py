"""The stored forms and their versions, and the check that a reader knows the version it finds.

check("journal", stored.get("version", 1), StateError)

docs/reference/upgrades.md says what a version may change. Standard library only: every image has this file.
"""

from __future__ import annotations

from collections.abc import Mapping

FORMS: Mapping[str, int] = {
    "approval": 1,
    "audit record": 1,
    "drift record": 1,
    "event": 1,
    "journal": 1,
    "label ledger": 1,
    "package facts": 1,
    "package manifest": 1,
    "PostgreSQL schema": 6,
    "quality state": 1,
    "recipe": 8,
    "retraining record": 1,
}
"""Form -> the version that this library writes. What is stored without a version has version 1."""


def check(form: str, version: object, error: type[Exception]) -> None:
    """Raise `error` for a newer version of a form, before anything else of it is read."""
    known = FORMS[form]
    if not isinstance(version, int) or version > known:
        raise error(f"{form}: got version {version!r}, this library reads up to {known}: upgrade pulumi-modelstack")
