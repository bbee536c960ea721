"""Seals packages of a few members, and puts them into a bucket as a stack does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from modelstack.pipeline import archive
from modelstack.pipeline.pack import SealedPackage
from modelstack.platforms.s3.package_store import BucketPackageStore
from modelstack.rollout.core.release import Release
from modelstack.services.sealed_packages import MANIFEST
from tests.rollout.worlds import release as make_release


def sealed_release(name: str, s3: Any, bucket: str, members: Mapping[str, Any]) -> Release:
    """A release whose package holds these members: bytes, or what becomes JSON; None leaves one out."""
    files = {
        path: body if isinstance(body, bytes) else json.dumps(body).encode()
        for path, body in members.items()
        if body is not None
    }
    digests = {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}
    manifest = json.dumps({"files": digests}).encode()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        digest = archive.seal({**files, MANIFEST: manifest}, path)
        proof = hashlib.sha256(manifest).hexdigest()
        uri = _Unread(bucket, s3).put(SealedPackage(path, digest, proof, {}, ""))
    return replace(make_release(name), package_digest=digest, archive_uri=uri, manifest_sha256=proof)


class _Unread(BucketPackageStore):
    """A store that reads nothing back, as what it stores is tested elsewhere: half of the calls."""

    def _write(self, name: str, content: bytes | Path) -> None:
        put(self.s3, self._uri(name), content if isinstance(content, bytes) else content.read_bytes())


def put(s3: Any, uri: str, content: bytes) -> None:
    """Write an object of a package, or overwrite it."""
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    s3.put_object(Bucket=bucket, Key=key, Body=content)
