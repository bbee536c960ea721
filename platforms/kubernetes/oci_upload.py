"""Puts one blob into a registry: small ones at once, large ones in parts, each of which may be sent again.

upload(connection, Path("model.tar.gz"), "sha256:...")
"""

from __future__ import annotations

import io
import time
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO

from platforms.kubernetes.oci_connection import PAUSES, Answer, Connection, OciError, OciUnreachable

CHUNK = 8 * 1024**2
"""Bytes of a part, which is held in memory."""
_FORGOTTEN = (HTTPStatus.NOT_FOUND, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
_BYTES = {"Content-Type": "application/octet-stream"}


def upload(connection: Connection, content: bytes | Path, digest: str) -> None:
    """Send a blob; where the connection breaks, the registry is asked what it has, and the rest is sent.

    Args:
        connection: To where.
        content: Bytes, or a file.
        digest: `sha256:<hex>` of them.

    Raises:
        OciUnreachable: The registry was away for too long, or has forgotten the upload: it may begin again.
        OciError: It refuses the blob, or says that it has another digest.
    """
    with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as source:
        size = source.seek(0, io.SEEK_END)
        begun = connection.ask("POST", "blobs/uploads/", digest, expected=(HTTPStatus.ACCEPTED,))
        place = _place(connection, begun, digest)
        minimum = begun.headers.get("OCI-Chunk-Min-Length", "")
        step = max(CHUNK, int(minimum) if minimum.isdigit() else 0)
        rest = b""
        if size > step:
            place = _send(connection, source, step, place, digest)
        else:
            source.seek(0)
            rest = source.read()
        ended = connection.ask(
            *("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", digest),
            expected=(HTTPStatus.CREATED, *_FORGOTTEN),
            content=rest,
            headers=_BYTES,
        )
        _check_known(connection, ended, digest)
    told = ended.headers.get("Docker-Content-Digest", digest)
    if told != digest:
        raise OciError(f"{connection.named(digest)}: the registry says that it holds {told}")


def _send(connection: Connection, source: BinaryIO, step: int, place: str, digest: str) -> str:
    """Send all parts; returns where the upload ends."""
    done, failed = 0, 0
    source.seek(0)
    while part := source.read(step):
        headers = {**_BYTES, "Content-Range": f"{done}-{done + len(part) - 1}"}
        try:
            answer = connection.ask(
                "PATCH", place, digest, expected=(HTTPStatus.ACCEPTED, *_FORGOTTEN), content=part, headers=headers
            )
            done, failed = done + len(part), 0
        except OciUnreachable:
            if failed == len(PAUSES):
                raise
            time.sleep(PAUSES[failed])
            answer, before = _status(connection, place, digest), done
            done = _kept(answer)
            failed = 0 if done > before else failed + 1
        _check_known(connection, answer, digest)
        source.seek(done)
        place = _place(connection, answer, digest)
    return place


def _status(connection: Connection, place: str, digest: str) -> Answer:
    """What the registry has of an upload."""
    answer = connection.ask("GET", place, digest, expected=(HTTPStatus.NO_CONTENT, *_FORGOTTEN))
    _check_known(connection, answer, digest)
    return answer


def _check_known(connection: Connection, answer: Answer, digest: str) -> None:
    """Give up an upload that the registry knows no more, or whose end is not where it was: the caller begins again."""
    if answer.status in _FORGOTTEN:
        raise OciUnreachable(f"{connection.named(digest)}: the registry has forgotten the upload ({answer.status})")


def _kept(answer: Answer) -> int:
    """How many bytes the registry has; one of none says the same as one of a single byte."""
    last = answer.headers.get("Range", "0-0").removeprefix("bytes=").partition("-")[2]
    return int(last) + 1 if last.isdigit() and int(last) else 0


def _place(connection: Connection, answer: Answer, digest: str) -> str:
    """Where the upload goes on, as the registry says it: a URL, or a path of its own."""
    location = answer.headers.get("Location", "")
    if not location:
        raise OciError(f"{connection.named(digest)}: the registry does not say where the upload goes on")
    return str(answer.url.join(location))
