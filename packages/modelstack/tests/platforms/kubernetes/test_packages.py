from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from modelstack.platforms.kubernetes.packages import member
from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.rollout.core.release import Release
from modelstack.services.sealed_packages import METRICS, REFERENCE
from tests.rollout.worlds import release as make_release
from tests.serving.shelf import Shelf, shelf

MEMBER = b'{"rows": 2}'
MANIFEST = json.dumps({"files": {REFERENCE: hashlib.sha256(MEMBER).hexdigest()}}).encode()
BESIDE = "/packages/packages/d"
RELEASE: Release = replace(
    make_release("a"),
    archive_uri="s3://packages/packages/d/model.tar.gz",
    manifest_sha256=hashlib.sha256(MANIFEST).hexdigest(),
)


def read(at: Shelf, monkeypatch: pytest.MonkeyPatch, name: str = REFERENCE) -> bytes | None:
    for variable, value in {
        "AWS_ENDPOINT_URL_S3": f"http://{at.host}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(variable, value)
    return member(RELEASE, name)


def test_a_member_lies_beside_its_archive_and_is_what_the_manifest_says(monkeypatch: pytest.MonkeyPatch) -> None:
    with shelf(blobs={f"{BESIDE}/manifest.json": MANIFEST, f"{BESIDE}/{REFERENCE}": MEMBER}) as at:
        assert read(at, monkeypatch) == MEMBER
        assert read(at, monkeypatch, METRICS) is None, "the manifest lists none"
        assert all("Credential=key/" in headers["Authorization"] for _, headers in at.asked)


def test_other_bytes_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        shelf(blobs={f"{BESIDE}/manifest.json": MANIFEST, f"{BESIDE}/{REFERENCE}": b"{}"}) as at,
        pytest.raises(RolloutError, match=f"s3://packages/packages/d/{REFERENCE}: got sha256:.*nothing in it was read"),
    ):
        read(at, monkeypatch)


def test_a_bucket_that_gives_nothing_is_asked_again_later(monkeypatch: pytest.MonkeyPatch) -> None:
    with shelf() as at, pytest.raises(Unreachable, match="answers 404"):
        read(at, monkeypatch)
