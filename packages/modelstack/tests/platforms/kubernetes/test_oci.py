from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelstack.platforms.kubernetes.oci import (
    MANIFEST_TYPE,
    PAUSES,
    OciError,
    OciRepository,
    OciUnreachable,
    canonical,
    pinned,
    sha256,
)
from modelstack.platforms.kubernetes.registry_store import refer, referrers
from modelstack.serving.registry import Repository
from modelstack.serving.registry_protocol import Login
from tests.platforms.kubernetes.certificates import certificate
from tests.platforms.kubernetes.real_registry import LOGIN, running
from tests.serving.shelf import Shelf, shelf

EMPTY = "application/vnd.oci.empty.v1+json"
KIND = "application/vnd.example"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("registry")) as host:
        yield host


def near(host: str, repository: str = "team/model", login: Login | None = None) -> OciRepository:
    return OciRepository(Repository(host, repository, login, insecure=True))


def manifest(registry: OciRepository, *layers: str, **more: object) -> bytes:
    config = {"mediaType": EMPTY, "digest": registry.put(b"{}"), "size": 2}
    described = [{"mediaType": "text/plain", "digest": one, "size": len(registry.read(one))} for one in layers]
    return canonical({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": described, **more})


@pytest.mark.needs("registry")
class TestWithARealOne:
    def test_what_is_put_is_read_back_and_downloaded(self, real: str, tmp_path: Path) -> None:
        registry = near(real)
        (tmp_path / "large").write_bytes(os.urandom(100_000))
        for content in (b"", b"small", tmp_path / "large"):
            digest = registry.put(content)
            assert (digest, registry.holds(digest)) == (sha256(content), True)
            registry.download(digest, tmp_path / "copy")
            assert sha256(tmp_path / "copy") == digest
        assert registry.put(b"small") == sha256(b"small")
        assert not registry.holds(sha256(b"never put"))

    def test_an_upload_whose_connection_breaks_is_repeated_and_then_given_up(
        self, real: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        uploads, opened = [0], Repository.open

        def broken(self: Repository, path: str, method: str = "GET", *more: Any, **named: Any) -> Any:
            uploads[0] += method == "PUT"
            if method == "PUT" and uploads[0] <= len(PAUSES):
                raise ConnectionResetError("reset by peer")
            return opened(self, path, method, *more, **named)

        monkeypatch.setattr(Repository, "open", broken)
        assert near(real).holds(near(real).put(b"over a line that breaks"))
        uploads[0] = -1
        with pytest.raises(OciUnreachable, match="the registry does not answer: reset by peer"):
            near(real).put(b"over a line that breaks for longer")

    def test_bytes_that_were_changed_on_its_disk_are_noticed(self, tmp_path: Path) -> None:
        with running(tmp_path / "registry") as host:
            registry = near(host)
            digest = registry.put(b"what was put")
            (stored,) = (one for one in (tmp_path / "registry").rglob(f"{digest[7:]}/data"))
            stored.write_bytes(b"what is read")
            for call in (registry.read, registry.holds, lambda _: registry.put(b"what was put")):
                with pytest.raises(OciError, match=f"{digest}: the registry sends bytes of sha256:"):
                    call(digest)
            with pytest.raises(OciError):
                registry.download(digest, tmp_path / "copy")
            assert not list(tmp_path.glob("copy*"))

    def test_an_image_is_pinned_by_the_digest_of_its_manifest(self, real: str) -> None:
        registry = near(real, "serving")
        content = manifest(registry, registry.put(b"layer"))
        registry.put_manifest(content, MANIFEST_TYPE, "v1")
        by_digest = f"{real}/serving@{sha256(content)}"
        assert pinned(f"{real}/serving:v1", {}) == pinned(by_digest, {}) == by_digest
        found = registry.manifest(sha256(content))
        assert found is not None and found.content == content
        with pytest.raises(OciError, match=f"there is no image {real}/serving:latest"):
            pinned(f"{real}/serving", {})
        for name in ("serving:v1", "SERVING@x", ""):
            with pytest.raises(OciError, match="expected HOST"):
                pinned(name, {})

    def test_what_refers_to_a_manifest_is_found_by_the_tag_of_the_specification(self, real: str) -> None:
        registry = near(real, "signed")
        subject = manifest(registry, registry.put(b"what is signed"))
        registry.put_manifest(subject, MANIFEST_TYPE)
        about = {"mediaType": MANIFEST_TYPE, "digest": sha256(subject), "size": len(subject)}
        layer = registry.put(b"signature")
        made = [
            manifest(registry, layer, subject=about, artifactType=KIND, annotations={"by": str(who)}) for who in (1, 2)
        ]
        for content in (*made, made[0]):
            refer(registry, content, sha256(subject), f"by-{sha256(content)[7:19]}")
        refer(registry, manifest(registry, layer, subject=about, artifactType="another"), sha256(subject), "another")
        found = referrers(registry, sha256(subject), KIND)
        assert [one["digest"] for one in found] == sorted(map(sha256, made))
        assert {one["annotations"]["by"] for one in found} == {"1", "2"}
        assert referrers(registry, sha256(b"another"), KIND) == []

    def test_one_that_wants_a_login_and_tls_gets_them(self, tmp_path: Path) -> None:
        trusted = ssl.create_default_context(cafile=str(certificate(tmp_path / "tls")))
        with running(tmp_path / "registry", login=True, tls=tmp_path / "tls") as host:

            def over_tls(login: Login | None, trusted: ssl.SSLContext | None = trusted) -> OciRepository:
                return OciRepository(Repository(host, "m", login, trusted=trusted))

            registry, stranger = over_tls(Login(*LOGIN)), over_tls(Login("eve", "guessed"))
            assert registry.holds(registry.put(b"content"))
            with pytest.raises(OciError, match=r"answers 401 and says: UNAUTHORIZED: authentication required"):
                stranger.read(sha256(b"content"))
            with pytest.raises(OciError, match="answers 401"):
                stranger.put(b"more")
            with pytest.raises(OciError, match=f"The docker config has no login for {host}"):
                over_tls(None).read(sha256(b"content"))
            with pytest.raises(OciUnreachable, match="certificate"):
                over_tls(Login(*LOGIN), None).read(sha256(b"content"))
            (tmp_path / "config.json").write_text(
                json.dumps({"auths": {host: {"username": "ana", "password": "secret"}}})
            )
            found = OciRepository.of(f"{host}/m", {"DOCKER_CONFIG": str(tmp_path)})
            assert found._repository.login == Login(*LOGIN)

    def test_one_that_refuses_or_is_gone_is_quoted_with_what_was_asked(self, real: str, tmp_path: Path) -> None:
        missing = sha256(b"nothing")
        with pytest.raises(OciError, match=f"oci://{real}/team/model@{missing}: .* 404 and says: BLOB_UNKNOWN"):
            near(real).read(missing)
        with running(tmp_path / "registry") as host:
            pass
        with pytest.raises(OciUnreachable, match=f"oci://{host}/team/model@{missing}, tried 5 times: .*refused"):
            near(host).read(missing)


CONTENT = b"content" * 10_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


@pytest.fixture
def at() -> Iterator[Shelf]:
    with shelf(blobs={f"/v2/m/blobs/{DIGEST}": CONTENT}) as one:
        yield one


def test_an_answer_that_ends_too_early_is_asked_for_again(at: Shelf) -> None:
    at.faults = [("cut", 1000), ("status", 503)]
    assert near(at.host, "m").read(DIGEST) == CONTENT
    assert len(at.asked) == 3
    at.blobs[f"/v2/m/manifests/{DIGEST}"] = CONTENT
    at.faults = [("cut", 1000)] * (len(PAUSES) + 1)
    with pytest.raises(OciUnreachable, match="does not answer"):
        near(at.host, "m").manifest(DIGEST)


def test_one_that_says_another_digest_than_it_was_given_is_noticed(at: Shelf) -> None:
    at.blobs["/v2/m/manifests/v1"] = b"{}"
    at.headers = {"Docker-Content-Digest": DIGEST}
    with pytest.raises(OciError, match=f"got {sha256(b'{}')}, expected {DIGEST}; nothing in it was read"):
        near(at.host, "m").manifest("v1")
    at.headers = {}
    other = f"/v2/m/manifests/{DIGEST}"
    at.blobs[other] = b"{}"
    with pytest.raises(OciError, match=f"got {sha256(b'{}')}, expected {DIGEST}"):
        near(at.host, "m").manifest(DIGEST)


def test_an_endless_answer_is_cut_off(at: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelstack.platforms.kubernetes.oci.LONGEST", 5000)
    with pytest.raises(OciError, match="longer than 5,000 bytes"):
        near(at.host, "m").read(DIGEST)


def test_a_name_that_is_none_is_refused_before_anybody_is_asked(at: Shelf) -> None:
    with pytest.raises(OciError, match="is no digest"):
        near(at.host, "m").read("latest")
    for place in ("registry", "registry/UPPER", "registry/m:tag", "registry/../m"):
        with pytest.raises(OciError, match=r"expected HOST\[:PORT\]/REPOSITORY"):
            OciRepository.of(place, {})
    assert at.asked == []
