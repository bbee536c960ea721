"""Blobs and manifests of an OCI registry, with every digest verified.

Blobs and manifests are addressed by digest, so every call is idempotent. Requests are those of
`modelstack.serving.registry`. Source: OCI distribution specification v1.1.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import re
import time
import urllib.error
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import urljoin

import httpx

from modelstack.rollout.core.errors import RolloutError, Unreachable
from modelstack.services.sealed_packages import RegistryError
from modelstack.serving.download import DownloadError, Refused, RegistrySource, download, failure, is_temporary, refusal
from modelstack.serving.registry import Repository
from modelstack.serving.registry_protocol import DIGEST, ProtocolError, place_of
from modelstack.serving.unpacking import MAX_BYTES

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LONGEST = 16 * 1024**2  # maximum bytes of a response that is read into memory
PAUSES = (0.2, 0.5, 1.0, 2.0)  # seconds before each retry
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPTED = ", ".join((MANIFEST_TYPE, INDEX_TYPE, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json"))
_IMAGE = re.compile(r"(?P<place>[^@]+?)(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?")
_NO_REFERRERS = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.BAD_REQUEST)
_UNKNOWN_CALLER = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
T = TypeVar("T")


class OciError(RegistryError, RolloutError):
    """A registry refuses a request, or a digest does not match; the message names registry, repository and digest."""


class OciUnreachable(OciError, Unreachable):
    """A registry does not answer now; a later call may succeed."""


@dataclass(frozen=True)
class RegistryResponse:
    """A short response."""

    status: int
    headers: Message
    body: bytes
    url: str


@dataclass(frozen=True)
class Manifest:
    """A manifest as stored, with `sha256:<hex>` of its bytes."""

    digest: str
    media_type: str
    content: bytes

    def value(self) -> dict[str, Any]:
        """Its content; empty if it is not a JSON object."""
        try:
            found = json.loads(self.content)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}


class OciRepository:
    """One repository of a registry."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @classmethod
    def of(cls, place: str, environment: Mapping[str, str] = os.environ) -> OciRepository:
        """The repository `HOST[:PORT]/REPOSITORY` with the docker config's login; raises OciError if one is invalid."""
        try:
            host, name = place_of(place)
            return cls(Repository.of(host, name, environment, httpx.create_ssl_context()))
        except ProtocolError as error:
            raise OciError(str(error)) from None

    @property
    def place(self) -> str:
        """`HOST[:PORT]/REPOSITORY`."""
        return f"{self._repository.registry}/{self._repository.name}"

    def uri(self, reference: str) -> str:
        """The URI of a blob or manifest by its digest, or of a manifest by its tag."""
        return f"oci://{self.place}{'@' if DIGEST.fullmatch(reference) else ':'}{reference}"

    def read(self, digest: str) -> bytes:
        """The bytes of a blob of up to 16 MiB; raises OciError if it is missing or its digest does not match."""
        content = io.BytesIO()
        self._fetch(digest, content, LONGEST)
        return content.getvalue()

    def download(self, digest: str, to: Path) -> None:
        """Write a blob to a file, which appears only if the digest matches; otherwise raises OciError."""
        unproven = to.with_name(to.name + ".partial")
        try:
            with unproven.open("wb") as file:
                self._fetch(digest, file, MAX_BYTES)
            unproven.replace(to)
        finally:
            unproven.unlink(missing_ok=True)

    def has(self, digest: str) -> bool:
        """Whether a blob exists, without reading it."""
        expected = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        return self._request("HEAD", f"blobs/{digest}", digest, expected=expected).status != HTTPStatus.NOT_FOUND

    def holds(self, digest: str) -> bool:
        """Whether a blob exists; its bytes are read, and OciError is raised if the digest does not match."""
        if not self.has(digest):
            return False
        self._fetch(digest, _Discarded(), MAX_BYTES)
        return True

    def put(self, content: bytes | Path) -> str:
        """Upload a blob unless it exists, and verify it; returns its digest."""
        digest = sha256(content)
        for pause in (*PAUSES, None):
            if self.holds(digest):
                return digest
            try:
                self._upload(content, digest)
            except OciUnreachable:
                if pause is None:
                    raise
                time.sleep(pause)
        if not self.holds(digest):
            raise OciError(f"{self.uri(digest)} was put, and the registry does not have it")
        return digest

    def manifest(self, reference: str) -> Manifest | None:
        """A manifest by its digest or tag, None if it does not exist; raises OciError if its digest does not match."""
        expected = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        headers = {"Accept": _ACCEPTED}
        found = self._request("GET", f"manifests/{reference}", reference, expected=expected, headers=headers)
        if found.status == HTTPStatus.NOT_FOUND:
            return None
        digest = sha256(found.body)
        told = found.headers.get("Docker-Content-Digest", digest)
        for wanted in (told, *([reference] if DIGEST.fullmatch(reference) else [])):
            if wanted != digest:
                raise OciError(f"{self.uri(reference)}: got {digest}, expected {wanted}; nothing in it was read")
        return Manifest(digest, found.headers.get("Content-Type", MANIFEST_TYPE).partition(";")[0], found.body)

    def put_manifest(self, content: bytes, media_type: str, tag: str = "") -> bool:
        """Upload a manifest by digest, or by tag; whether the registry has processed its `subject`."""
        digest = sha256(content)
        reference, headers = tag or digest, {"Content-Type": media_type}
        answer = self._request(
            "PUT", f"manifests/{reference}", reference, expected=(201,), content=content, headers=headers
        )
        told = answer.headers.get("Docker-Content-Digest", digest)
        if told != digest:
            raise OciError(f"{self.uri(reference)}: the registry says that it holds {told}, expected {digest}")
        return "OCI-Subject" in answer.headers

    def referrers(self, subject: str) -> list[dict[str, Any]] | None:
        """Descriptors of the manifests that refer to one; None if the registry does not support this."""
        expected, path = (HTTPStatus.OK, *_NO_REFERRERS), f"referrers/{subject}"
        answer = self._request("GET", path, subject, expected=expected)
        return manifests_in(answer.body) if answer.status == HTTPStatus.OK else None

    def _fetch(self, digest: str, to: IO[bytes], limit: int) -> None:
        """Write a blob to a file; raise at its end if the digest does not match."""
        if not DIGEST.fullmatch(digest):
            raise OciError(f"{digest!r} is no digest: expected sha256:<64 digits>")
        try:
            found = download(RegistrySource(self._repository, digest), to, limit=limit, pauses=PAUSES)
        except Refused as error:
            raise OciError(f"{error}{self._login_hint(error.status)}") from None
        except DownloadError as error:
            raise OciUnreachable(str(error)) from None
        except ProtocolError as error:
            raise OciError(f"{self.uri(digest)}: {error}") from None
        if f"sha256:{found}" != digest:
            raise OciError(f"{self.uri(digest)}: the registry sends bytes of sha256:{found}; nothing in it was read")

    def _upload(self, content: bytes | Path, digest: str) -> None:
        begun = self._request("POST", "blobs/uploads/", digest, expected=(HTTPStatus.ACCEPTED,))
        location = begun.headers.get("Location", "")
        if not location:
            raise OciError(f"{self.uri(digest)}: the registry does not say where the upload continues")
        place = f"{urljoin(begun.url, location)}{'&' if '?' in location else '?'}digest={digest}"
        expected = (HTTPStatus.CREATED, HTTPStatus.NOT_FOUND)
        ended = self._request("PUT", place, digest, expected=expected, content=content)
        if ended.status == HTTPStatus.NOT_FOUND:
            raise OciUnreachable(f"{self.uri(digest)}: the registry has forgotten the upload")

    def _request(
        self,
        method: str,
        path: str,
        about: str,
        *,
        expected: Collection[int],
        content: bytes | Path = b"",
        headers: Mapping[str, str] | None = None,
    ) -> RegistryResponse:
        """Send a request and read the short response; retry an idempotent one. Raises OciUnreachable or OciError."""

        def once() -> RegistryResponse:
            with self._explained(about):
                types = {"Content-Type": "application/octet-stream"} if method in {"POST", "PUT"} else {}
                answer: Any
                try:
                    answer = self._repository.open(path, method, {**types, **(headers or {})}, content)
                except urllib.error.HTTPError as error:
                    if error.code not in expected:
                        raise
                    answer = error
                with answer:
                    body = answer.read(LONGEST + 1)
                    if len(body) > LONGEST:
                        raise OciError(f"{self.uri(about)}: the registry sends more than {LONGEST:,} bytes")
                    if getattr(answer, "length", 0):  # bytes that are missing at the end of the connection
                        raise http.client.IncompleteRead(body)
                    if answer.status not in expected:
                        raise OciError(f"{self.uri(about)}: the registry answers {answer.status}")
                    return RegistryResponse(answer.status, answer.headers, body, answer.url)

        return _repeated(once) if method in {"GET", "HEAD"} or path.startswith("manifests/") else once()

    @contextmanager
    def _explained(self, about: str) -> Generator[None]:
        try:
            yield
        except urllib.error.HTTPError as error:
            kind = OciUnreachable if is_temporary(error.code) else OciError
            raise kind(f"{self.uri(about)}: {refusal(error)}{self._login_hint(error.code)}") from None
        except ProtocolError as error:
            raise OciError(f"{self.uri(about)}: {error}") from None
        except (OSError, http.client.HTTPException) as error:
            raise OciUnreachable(f"{self.uri(about)}: the registry does not answer: {failure(error)}") from None

    def _login_hint(self, status: int) -> str:
        anonymous = self._repository.login is None and status in _UNKNOWN_CALLER
        return f". The docker config has no login for {self._repository.registry}" if anonymous else ""


class _Discarded(io.BytesIO):
    """A file that stores nothing, for verifying a blob."""

    def write(self, content: Any, /) -> int:
        """Discard the content."""
        return len(content)


def _repeated(call: Callable[[], T]) -> T:
    for pause in PAUSES:
        with suppress(OciUnreachable):
            return call()
        time.sleep(pause)
    return call()


def pinned(image: str, environment: Mapping[str, str] = os.environ) -> str:
    """An image (`HOST[:PORT]/REPOSITORY[:TAG]`) by its digest, so that a moved tag does not change it.

    An image with a digest is returned as it is. Raises OciError if it names no registry, or does not exist.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise OciError(f"the image {image!r} is not allowed: expected HOST[:PORT]/REPOSITORY:TAG or @sha256:<digits>")
    if found["digest"]:
        return image
    host = found["place"].partition("/")[0]
    if "." not in host and ":" not in host and host != "localhost":
        raise OciError(f"the image {image!r} names no registry: expected HOST[:PORT]/REPOSITORY:TAG")
    registry, tag = OciRepository.of(found["place"], environment), found["tag"] or "latest"
    manifest = registry.manifest(tag)
    if manifest is None:
        raise OciError(f"there is no image {registry.place}:{tag}")
    return f"{registry.place}@{manifest.digest}"


def sha256(content: bytes | Path) -> str:
    """`sha256:<hex>` of bytes or of a file."""
    if isinstance(content, bytes):
        return f"sha256:{hashlib.sha256(content).hexdigest()}"
    with content.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def canonical(value: Mapping[str, Any]) -> bytes:
    """A manifest's bytes, the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def manifests_in(content: bytes) -> list[dict[str, Any]]:
    """The descriptors of an index; empty if it is not an index."""
    try:
        found = json.loads(content)["manifests"]
        return [one for one in found if isinstance(one, dict)]
    except (ValueError, TypeError, KeyError):
        return []
