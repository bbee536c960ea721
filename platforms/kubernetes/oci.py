"""A client of an OCI registry that believes no byte whose digest it has not computed.

    registry = Registry.of("registry.example:5000/models/flight-delay")
    digest = registry.put(Path("model.tar.gz"))                # in parts, and goes on where a connection broke
    registry.download(digest, Path("copy.tar.gz"))
    pinned("registry.example:5000/serving:latest")             # registry.example:5000/serving@sha256:...

Blobs and manifests are named by their digests, so every call may be repeated. Logins are those of a docker config.
Source: OCI distribution specification v1.1.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from platforms.kubernetes.oci_connection import LONGEST, PAUSES, Connection, OciError, OciUnreachable
from platforms.kubernetes.oci_upload import upload
from serving.registry_protocol import DIGEST, ProtocolError, docker_config, is_insecure, login_of, place_of
from serving.unpacking import MAX_BYTES

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
_DOCKER = "application/vnd.docker.distribution.manifest"
_ACCEPTED = ", ".join((MANIFEST_TYPE, INDEX_TYPE, f"{_DOCKER}.v2+json", f"{_DOCKER}.list.v2+json"))
_IMAGE = re.compile(r"(?P<place>[^@]+?)(:(?P<tag>\w[\w.-]{0,127}))?(@(?P<digest>sha256:[0-9a-f]{64}))?")
_NO_REFERRERS = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.BAD_REQUEST)
T = TypeVar("T")


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
        connection: How it is asked.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def of(cls, place: str, environment: Mapping[str, str] = os.environ) -> Registry:
        """The repository `HOST[:PORT]/REPOSITORY`, with the login of the docker config.

        Raises:
            OciError: The name or the docker config cannot be understood.
        """
        try:
            host, repository = place_of(place)
            login = login_of(docker_config(environment), host)
            return cls(Connection(host, repository, login=login, insecure=is_insecure(host, environment)))
        except ProtocolError as error:
            raise OciError(str(error)) from None

    def close(self) -> None:
        """Let go of what is open."""
        self._connection.close()

    @property
    def place(self) -> str:
        """`HOST[:PORT]/REPOSITORY`."""
        return f"{self._connection.host}/{self._connection.repository}"

    def uri(self, digest: str) -> str:
        """How a blob is named everywhere else."""
        return self._connection.named(digest)

    def read(self, digest: str) -> bytes:
        """A small blob.

        Raises:
            OciError: It is not there, longer than 16 MiB, or of another digest.
        """
        return b"".join(self._repeated(lambda: list(self._blocks(digest, LONGEST))))

    def download(self, digest: str, to: Path) -> None:
        """Write a blob into a file, which appears only if the bytes have the digest.

        Raises:
            OciError: It is not there, or of another digest.
        """
        unproven = to.with_name(to.name + ".partial")

        def write() -> None:
            with unproven.open("wb") as file:
                file.writelines(self._blocks(digest, MAX_BYTES))

        try:
            self._repeated(write)
            unproven.replace(to)
        finally:
            unproven.unlink(missing_ok=True)

    def has(self, digest: str) -> bool:
        """Whether a blob is there; nothing of it is read."""
        expected = (HTTPStatus.OK, HTTPStatus.NOT_FOUND)
        answer = self._connection.ask("HEAD", f"blobs/{digest}", digest, expected=expected)
        return answer.status != HTTPStatus.NOT_FOUND

    def holds(self, digest: str) -> bool:
        """Whether a blob is there; its bytes are read back.

        Raises:
            OciError: Other bytes are there under this digest.
        """
        if not self.has(digest):
            return False
        self._repeated(lambda: sum(map(len, self._blocks(digest, MAX_BYTES))))
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
                upload(self._connection, content, digest)
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
        found = self._connection.ask("GET", f"manifests/{reference}", reference, expected=expected, headers=headers)
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
        answer = self._connection.ask(
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
        answer = self._connection.ask("GET", path, subject, expected=expected)
        return manifests_in(answer.body) if answer.status == HTTPStatus.OK else None

    def _blocks(self, digest: str, limit: int) -> Generator[bytes]:
        """The bytes of a blob; it fails at the last of them, if they have another digest."""
        if not DIGEST.fullmatch(digest):
            raise OciError(f"{digest!r} is no digest: expected sha256:<64 digits>")
        found = hashlib.sha256()
        with self._connection.opened("GET", f"blobs/{digest}", digest) as answer:
            self._connection.check(answer, digest, (HTTPStatus.OK,))
            for block in self._connection.blocks(answer, digest, limit):
                found.update(block)
                yield block
        if f"sha256:{found.hexdigest()}" != digest:
            raise OciError(
                f"{self.uri(digest)}: the registry sends bytes of sha256:{found.hexdigest()}; nothing in it was read"
            )

    @staticmethod
    def _repeated(read: Callable[[], T]) -> T:
        for pause in PAUSES:
            with suppress(OciUnreachable):
                return read()
            time.sleep(pause)
        return read()


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
