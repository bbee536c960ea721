"""A sealed package, and its signed documents, as artifacts of an OCI registry. Pure.

The archive is one blob, whose digest is the package digest. Its top JSON files are blobs too, so that a reader can
fetch one without the weights. The same package always gives the same manifest.
Source: OCI image specification v1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelstack.platforms.kubernetes.oci import MANIFEST_TYPE, Manifest, canonical, sha256
from modelstack.records.provenance.envelope import key_id

PACKAGE_TYPE = "application/vnd.modelstack.package.v1"
EVIDENCE_TYPE = "application/vnd.modelstack.evidence.v1"
ARCHIVE_TYPE = "application/vnd.modelstack.package.archive.v1.tar+gzip"
SIGNED_BY = "dev.modelstack.signed-by"  # the annotation of evidence with the key's id
EMPTY = b"{}"  # the required config of an artifact that has none
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_TITLE = "org.opencontainers.image.title"
_TYPES = {"json": "application/json", "md": "text/markdown", "sig": "application/json"}


def tag_of(package_digest: str, public_key: bytes | None = None) -> str:
    """The tag of a package's manifest; with a key, of the evidence signed with it."""
    archive = package_digest.removeprefix("sha256:")
    return f"{archive}.{key_id(public_key)[:12]}" if public_key else archive


def package_manifest(package_digest: str, size: int, documents: Mapping[str, bytes]) -> bytes:
    """The manifest of a package. `size` is that of the archive in bytes."""
    archive = {"mediaType": ARCHIVE_TYPE, "digest": package_digest, "size": size}
    layers = [{**archive, "annotations": {_TITLE: "model.tar.gz"}}, *_described(documents)]
    return _manifest(PACKAGE_TYPE, layers)


def evidence_manifest(files: Mapping[str, bytes], public_key: bytes, subject: bytes) -> bytes:
    """The manifest of documents and signatures about a package, whose manifest is `subject`."""
    about = {"mediaType": MANIFEST_TYPE, "digest": sha256(subject), "size": len(subject)}
    return _manifest(EVIDENCE_TYPE, _described(files), subject=about, annotations={SIGNED_BY: key_id(public_key)})


def is_of(manifest: Manifest, package_digest: str) -> bool:
    """Whether a manifest is of a package, even one written by another version of modelstack."""
    value = manifest.value()
    layers = value.get("layers") or [{}]
    return value.get("artifactType") == PACKAGE_TYPE and layers[0].get("digest") == package_digest


def files_of(manifest: Manifest) -> dict[str, str]:
    """Name -> digest of the named layers of a manifest."""
    layers: list[dict[str, Any]] = manifest.value().get("layers") or []
    named = {one.get("annotations", {}).get(_TITLE): one.get("digest") for one in layers}
    return {name: digest for name, digest in named.items() if isinstance(name, str) and isinstance(digest, str)}


def _described(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    return [
        {
            "mediaType": _TYPES[name.rpartition(".")[2]],
            "digest": sha256(content),
            "size": len(content),
            "annotations": {_TITLE: name},
        }
        for name, content in sorted(files.items())
    ]


def _manifest(artifact_type: str, layers: list[dict[str, Any]], **more: Any) -> bytes:
    config = {"mediaType": _EMPTY_TYPE, "digest": sha256(EMPTY), "size": len(EMPTY)}
    form = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "artifactType": artifact_type}
    return canonical({**form, "config": config, "layers": layers, **more})
