"""The blobs and manifests of an OCI registry: no byte is believed whose digest was not computed.

    registry = Registry.of("registry.example:5000/models/flight-delay")
    digest = registry.put(Path("model.tar.gz"))
    registry.download(digest, Path("copy.tar.gz"))             # resumes where a connection broke
    pinned("registry.example:5000/serving:latest")             # registry.example:5000/serving@sha256:...

Blobs and manifests are named by their digests, so every call may be repeated. Requests are those of `serving.registry`.
Source: OCI distribution specification v1.1.
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

from rollout.core.errors import RolloutError, Unreachable
from services.sealed_packages import RegistryError
from serving.download import DownloadError, Refused, RegistrySource, download, failure, is_temporary, refusal
from serving.registry import Repository
from serving.registry_protocol import DIGEST, ProtocolError, place_of
from serving.unpacking import MAX_BYTES

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LONGEST = 16 * 1024**2
"""Bytes of an answer that is read into memory."""
PAUSES = (0.2, 0.5, 1.0, 2.0)
"""Seconds before each further try of a call that may be repeated."""
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPTED = ", ".join((MANIFEST_TYPE, INDEX_TYPE, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json"))
_IMAGE = re.compile(r"(?P<place>[^@]+?)(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?")
_NO_REFERRERS = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.BAD_REQUEST)
_UNKNOWN_CALLER = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
T = TypeVar("T")


class OciError(RegistryError, RolloutError):
    """A registry refuses, or has other bytes than a name says; the message names it, the repository and the digest."""


class OciUnreachable(OciError, Unreachable):
    """A registry does not answer, or not now; the same call later may succeed."""


@dataclass(frozen=True)
class RegistryResponse:
    """A short answer: its status, its headers, its body, and the URL that gave it."""

    status: int
    headers: Message
    body: bytes
    url: str


@dataclass(frozen=True)
class Manifest:
    """A manifest as a registry has it.

    Attributes:
        digest: `sha256:<hex>` of its bytes.
        media_type: Its type.
        content: Its bytes.
    """

    digest: str
    media_type: str
    content: bytes

    def value(self) -> dict[str, Any]:
        """What it says; nothing where it is no JSON object."""
        try:
            found = json.loads(self.content)
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}


class Registry:
    """One repository of a registry.

    Args:
        repository: How it is reached.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @classmethod
    def of(cls, place: str, environment: Mapping[str, str] = os.environ) -> Registry:
        """The repository `HOST[:PORT]/REPOSITORY`, with the login of the docker config.

        Raises:
            OciError: The name or the docker config cannot be understood.
        """
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
        """The name of a blob or a manifest by its digest, or of a manifest by its tag."""
        return f"oci://{self.place}{'@' if DIGEST.fullmatch(reference) else ':'}{reference}"

    def read(self, digest: str) -> bytes:
        """A small blob.

        Raises:
            OciError: It is not there, longer than 16 MiB, or of another digest.
        """
        content = io.BytesIO()
        self._fetch(digest, content, LONGEST)
        return content.getvalue()

    def download(self, digest: str, to: Path) -> None:
        """Write a blob into a file, which appears only if the bytes have the digest.

        Raises:
            OciError: It is not there, or of another digest.
        """
        unproven = to.with_name(to.name + ".partial")
        try:
            with unproven.open("wb") as file:
                self._fetch(digest, file, MAX_BYTES)
            unproven.replace(to)
        finally:
            unproven.unlink(missing_ok=True)

    def has(self, digest: str) -> bool:
        """Whether a blob is there; nothing of it is read."""
        expected = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        return self._request("HEAD", f"blobs/{digest}", digest, expected=expected).status != HTTPStatus.NOT_FOUND

    def holds(self, digest: str) -> bool:
        """Whether a blob is there; its bytes are read back.

        Raises:
            OciError: Other bytes are there under this digest.
        """
        if not self.has(digest):
            return False
        self._fetch(digest, _Discarded(), MAX_BYTES)
        return True

    def put(self, content: bytes | Path) -> str:
        """Put a blob, unless it is there, and read it back; returns its digest.

        Raises:
            OciError: The registry refuses it, or has other bytes under its digest.
        """
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
        """A manifest by its digest or its tag; None when there is none.

        Raises:
            OciError: It has another digest than was asked for, or than the registry says.
        """
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
        """Put a manifest under its digest, or under a tag; whether the registry has noted what it refers to.

        Raises:
            OciError: The registry refuses it, or says that it has another digest.
        """
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
        """What the registry says that refers to a manifest: descriptors; None of one that keeps no such list.

        Raises:
            OciError: It refuses to tell.
        """
        expected, path = (HTTPStatus.OK, *_NO_REFERRERS), f"referrers/{subject}"
        answer = self._request("GET", path, subject, expected=expected)
        return manifests_in(answer.body) if answer.status == HTTPStatus.OK else None

    def _fetch(self, digest: str, to: IO[bytes], limit: int) -> None:
        """Write a blob into a file, and fail at its end if it has another digest."""
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
        """Send a request and read the short answer; one that may be repeated is repeated while the registry is away.

        Raises:
            OciUnreachable: There is no answer, or it is to be requested again.
            OciError: The answer has another status, or is too long.
        """

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
        """Turn what went wrong with a request into an error that names what it was about."""
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
    """A file that stores nothing: for a blob whose bytes are only verified."""

    def write(self, content: Any, /) -> int:
        """Forget them."""
        return len(content)


def _repeated(call: Callable[[], T]) -> T:
    for pause in PAUSES:
        with suppress(OciUnreachable):
            return call()
        time.sleep(pause)
    return call()


def pinned(image: str, environment: Mapping[str, str] = os.environ) -> str:
    """An image by its digest, whatever its tag is moved to later; one that is named by digest stays as it is.

    Args:
        image: `HOST[:PORT]/REPOSITORY[:TAG]`; without a tag, `latest` is meant.
        environment: Names the docker config, see `Registry.of`.

    Raises:
        OciError: It names no registry, or there is no such image.
    """
    found = _IMAGE.fullmatch(image)
    if found is None:
        raise OciError(f"the image {image!r} is not allowed: expected HOST[:PORT]/REPOSITORY:TAG or @sha256:<digits>")
    if found["digest"]:
        return image
    host = found["place"].partition("/")[0]
    if "." not in host and ":" not in host and host != "localhost":
        raise OciError(f"the image {image!r} names no registry: expected HOST[:PORT]/REPOSITORY:TAG")
    registry, tag = Registry.of(found["place"], environment), found["tag"] or "latest"
    manifest = registry.manifest(tag)
    if manifest is None:
        raise OciError(f"there is no image {registry.place}:{tag}")
    return f"{registry.place}@{manifest.digest}"


def sha256(content: bytes | Path) -> str:
    """`sha256:<hex>` of bytes, or of a file's."""
    if isinstance(content, bytes):
        return f"sha256:{hashlib.sha256(content).hexdigest()}"
    with content.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def canonical(value: Mapping[str, Any]) -> bytes:
    """A manifest's bytes, the same for equal values."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def manifests_in(content: bytes) -> list[dict[str, Any]]:
    """The descriptors of an index; none where it is no index."""
    try:
        found = json.loads(content)["manifests"]
        return [one for one in found if isinstance(one, dict)]
    except (ValueError, TypeError, KeyError):
        return []
