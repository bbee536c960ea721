"""The in-toto statement of a package, with SLSA provenance and the digests of its documents.

Sources: in-toto Statement v1 (in-toto/attestation); SLSA v1.0, provenance (slsa.dev/spec/v1.0/provenance).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from modelstack.records.provenance.facts import Facts, canonical, purl

TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "urn:modelstack:recipe:"  # followed by the recipe's format
SUBJECT = "model.tar.gz"


class StatementError(Exception):
    """A signed statement is of the wrong kind."""


def statement(facts: Facts, documents: Mapping[str, bytes]) -> bytes:
    """The statement as canonical JSON; `documents` (name -> bytes) are those made from these facts."""
    recipe = asdict(facts.recipe)
    builder = facts.builder
    return canonical(
        {
            "_type": TYPE,
            "subject": [{"name": SUBJECT, "digest": {"sha256": facts.package.digest.removeprefix("sha256:")}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE + facts.recipe.format,
                    "externalParameters": {"parameters": recipe.pop("parameters")},
                    "internalParameters": {"recipe": recipe, "environment": asdict(facts.environment)},
                    "resolvedDependencies": _resolved(facts),
                },
                "runDetails": {
                    "builder": {"id": builder.id},
                    "metadata": {
                        **({"invocationId": builder.invocation} if builder.invocation else {}),
                        "finishedOn": builder.finished,
                    },
                    "byproducts": [
                        {"name": name, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
                        for name, content in sorted(documents.items())
                    ],
                },
            },
        }
    )


def package_of(payload: bytes) -> str:
    """The package digest, `sha256:<hex>`, of a statement; raises StatementError if it is of another kind."""
    try:
        (subject,) = parsed(payload, PREDICATE_TYPE)["subject"]
        return f"sha256:{subject['digest']['sha256']}"
    except (TypeError, ValueError, KeyError):
        raise StatementError("what is signed is not about one package by its sha256") from None


def documents_of(payload: bytes) -> dict[str, str]:
    """Document name -> sha256 in a statement; raises StatementError if it is of another kind."""
    body = parsed(payload, PREDICATE_TYPE)
    try:
        named = [(item["name"], item["digest"]["sha256"]) for item in body["predicate"]["runDetails"]["byproducts"]]
        found = {name: digest for name, digest in named if isinstance(name, str)}
        if len(found) != len(named):
            raise TypeError
        return found
    except (TypeError, KeyError):
        raise StatementError("the provenance does not name each of its documents once, by its sha256") from None


def parsed(payload: bytes, predicate_type: str) -> dict[str, Any]:
    """Read a verified in-toto statement; StatementError if it is not canonical or has another predicate."""
    try:
        body: Any = json.loads(payload)
        kind, found = body["_type"], body["predicateType"]
        if not isinstance(body["predicate"], dict) or canonical(body) != payload:  # a key twice means two things
            raise TypeError
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        raise StatementError("what is signed is no in-toto statement") from None
    if (kind, found) != (TYPE, predicate_type):
        raise StatementError(f"what is signed is a {kind} with {found}, expected {TYPE} with {predicate_type}")
    return body


def _resolved(facts: Facts) -> list[dict[str, Any]]:
    """The known inputs of the build: checkout, raw data, libraries."""
    found: list[dict[str, Any]] = [{"name": "code", "digest": {"sha256": facts.recipe.code}}]
    for file in facts.data:
        origin = {"uri": file.origin} if file.origin else {}
        found.append({"name": file.name, "digest": {"sha256": file.sha256}, **origin})
    source = facts.source
    if source.commit:
        at = {"uri": f"git+{source.remote}@{source.commit}"} if source.remote else {}
        digest = {"gitCommit": source.commit}
        found.insert(0, {"name": "checkout", **at, "digest": digest, "annotations": {"dirty": source.dirty}})
    return [*found, *({"uri": purl(one), "annotations": {"role": one.role}} for one in facts.dependencies)]
