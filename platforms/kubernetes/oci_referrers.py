"""Manifests of a registry that refer to another one, such as signatures.

For a registry without a referrers API, they are listed in an index under a tag that is made of the subject's digest.
Source: OCI distribution specification v1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

from __future__ import annotations

import json
from typing import Any

from platforms.kubernetes.oci import INDEX_TYPE, MANIFEST_TYPE, OciError, OciRepository, canonical, manifests_in, sha256

_TRIES = 5


def refer(registry: OciRepository, content: bytes, subject: str, tag: str) -> None:
    """Upload a manifest that refers to another one, so that `referrers` finds it.

    The index may be written concurrently, and the last write wins: so it is read back, and written again. The manifest
    gets a tag, because a registry's clean-up may delete one that only an index names.
    """
    if registry.put_manifest(content, MANIFEST_TYPE, tag):
        return
    value: dict[str, Any] = json.loads(content)
    described = {"mediaType": MANIFEST_TYPE, "digest": sha256(content), "size": len(content)}
    described |= {name: value[name] for name in ("artifactType", "annotations") if name in value}
    for _ in range(_TRIES):
        known = _tagged(registry, subject)
        if any(one.get("digest") == described["digest"] for one in known):
            return
        there = [one for one in known if registry.manifest(str(one.get("digest"))) is not None]
        index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [*there, described]}
        registry.put_manifest(canonical(index), INDEX_TYPE, _tag(subject))
    raise OciError(f"{registry.uri(_tag(subject))} does not keep what is added to it, because others write it, too")


def referrers(registry: OciRepository, subject: str, artifact_type: str) -> list[dict[str, Any]]:
    """Descriptors of the manifests of one type that refer to one, sorted by digest."""
    told = registry.referrers(subject)
    found = _tagged(registry, subject) if told is None else told
    ours = [one for one in found if one.get("artifactType") == artifact_type]
    return sorted(ours, key=lambda one: str(one.get("digest")))


def _tagged(registry: OciRepository, subject: str) -> list[dict[str, Any]]:
    index = registry.manifest(_tag(subject))
    return manifests_in(index.content) if index else []


def _tag(subject: str) -> str:
    return subject.replace(":", "-")
