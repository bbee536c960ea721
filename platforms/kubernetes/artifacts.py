"""A sealed package, and what is signed of it, as artifacts of an OCI registry. Pure: bytes in, manifests out.

    manifest = package_manifest("sha256:...", 123_456, archive.documents(path))
    signed = evidence_manifest(evidence.files(), public_key, manifest)      # refers to it

The archive is one blob, whose digest is the package digest. The JSON files of its top are blobs beside it, so that a
reader gets one by its sha256 and never the weights. The same package is the same manifest.
Source: OCI image specification v1.1, "Guidelines for Artifact Usage".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platforms.kubernetes.oci import MANIFEST_TYPE, Manifest, canonical, sha256
from provenance.envelope import key_id

PACKAGE_TYPE = "application/vnd.modelstack.package.v1"
EVIDENCE_TYPE = "application/vnd.modelstack.evidence.v1"
ARCHIVE_TYPE = "application/vnd.modelstack.package.archive.v1.tar+gzip"
SIGNED_BY = "dev.modelstack.signed-by"
"""The annotation of evidence that names the key, as `provenance.envelope.key_id` does."""
EMPTY = b"{}"
"""The config of an artifact that has none; it must be there, too."""
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
_TITLE = "org.opencontainers.image.title"
_TYPES = {"json": "application/json", "md": "text/markdown", "sig": "application/json"}


def tag_of(package_digest: str, public_key: bytes | None = None) -> str:
    """The tag of a package's manifest, the archive's sha256; with a key that of what the key has signed of it."""
    archive = package_digest.removeprefix("sha256:")
    return f"{archive}.{key_id(public_key)[:12]}" if public_key else archive


def package_manifest(package_digest: str, size: int, documents: Mapping[str, bytes]) -> bytes:
    """The manifest of a package.

    Args:
        package_digest: `sha256:<hex>` of the archive.
        size: Of the archive, bytes.
        documents: Name -> content of the JSON files of its top.
    """
    archive = {"mediaType": ARCHIVE_TYPE, "digest": package_digest, "size": size}
    layers = [{**archive, "annotations": {_TITLE: "model.tar.gz"}}, *_described(documents)]
    return _manifest(PACKAGE_TYPE, layers)


def evidence_manifest(files: Mapping[str, bytes], public_key: bytes, subject: bytes) -> bytes:
    """The manifest of documents and signatures.

    Args:
        files: Name -> content.
        public_key: Of who has signed them, PEM.
        subject: The manifest of the package that they are about.
    """
    about = {"mediaType": MANIFEST_TYPE, "digest": sha256(subject), "size": len(subject)}
    return _manifest(EVIDENCE_TYPE, _described(files), subject=about, annotations={SIGNED_BY: key_id(public_key)})


def is_of(manifest: Manifest, package_digest: str) -> bool:
    """Whether a manifest is of a package: it need not have the bytes that this version of modelstack would write."""
    value = manifest.value()
    layers = value.get("layers") or [{}]
    return value.get("artifactType") == PACKAGE_TYPE and layers[0].get("digest") == package_digest


def files_of(manifest: Manifest) -> dict[str, str]:
    """Name -> digest of what a manifest lists under a name."""
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
