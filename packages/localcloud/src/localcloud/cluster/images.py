"""Container images made of files, without an engine: the same files give the same bytes, and so the same digest.

    image = images.of([images.Entry("srv/model", Path("model"), mode=0o755)], command=["/srv/model"])
    images.push(image, "10.99.0.1:5000", "team/model")    # 10.99.0.1:5000/team/model@sha256:...

Layers are not compressed: they travel on this machine alone.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import os
import platform
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from localcloud.setup.commands import answer

_OCI = "application/vnd.oci.image"
_MANIFEST = f"{_OCI}.manifest.v1+json"
_CHUNK = 1 << 20
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Entry:
    """One thing in an image.

    Attributes:
        path: Where it is in there, without the leading slash.
        source: The file whose content it has; None makes a folder.
        mode: Its permissions.
        link: Where it points to, if it is a symbolic link.
    """

    path: str
    source: Path | None = None
    mode: int = 0o644
    link: str = ""


@dataclass(frozen=True)
class Image:
    """An image of one layer.

    Attributes:
        layer: The file of the layer, a tar.
        config: What runs, as OCI's image configuration.
        manifest: What belongs to the image.
    """

    layer: Path
    config: bytes
    manifest: bytes

    @property
    def digest(self) -> str:
        """What names the image: `sha256:` and 64 hex digits."""
        return _digest(self.manifest)


def tree(root: Path, below: str = "") -> list[Entry]:
    """Everything in a folder, as it is there: files, folders and links.

    Args:
        root: The folder.
        below: Where its content goes in the image; its root when empty.
    """
    entries = []
    for parent, folders, files in os.walk(root):
        for name in (*folders, *files):
            source = Path(parent, name)
            path, found = str(Path(below) / source.relative_to(root)), source.lstat()
            if stat.S_ISLNK(found.st_mode):
                entries.append(Entry(path, link=str(source.readlink())))
            elif stat.S_ISDIR(found.st_mode):
                entries.append(Entry(path, mode=stat.S_IMODE(found.st_mode)))
            elif stat.S_ISREG(found.st_mode):
                entries.append(Entry(path, source, stat.S_IMODE(found.st_mode)))
    return entries


def of(
    entries: Iterable[Entry],
    folder: Path,
    *,
    command: Sequence[str],
    environment: Sequence[str] = ("PATH=/usr/local/bin:/usr/bin:/bin",),
    user: str = "65532:65532",
) -> Image:
    """Make an image.

    Args:
        entries: What is in it; folders that are missing are made. Owners are root, times are 1970.
        folder: Where the layer's file goes.
        command: What runs.
        environment: `NAME=value`.
        user: Who runs it, `user:group` by number.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        _write(entries, file)
    digest, size = _file_digest(Path(name)), Path(name).stat().st_size
    layer = folder / f"{digest.removeprefix('sha256:')}.tar"
    Path(name).replace(layer)
    config = _json(
        {
            "architecture": _MACHINES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": {"Entrypoint": list(command), "Env": list(environment), "User": user, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [digest]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": {"mediaType": f"{_OCI}.config.v1+json", "digest": _digest(config), "size": len(config)},
            "layers": [{"mediaType": f"{_OCI}.layer.v1.tar", "digest": digest, "size": size}],
        }
    )
    return Image(layer, config, manifest)


def push(image: Image, registry: str, repository: str) -> str:
    """Push an image to a registry that speaks HTTP; what it has already is not sent again.

    Returns:
        The reference by digest: `registry/repository@sha256:...`.

    Raises:
        OSError: The registry cannot be reached, or refused.
    """
    reference = f"{registry}/{repository}@{image.digest}"
    if _ask(registry, "HEAD", f"/v2/{repository}/manifests/{image.digest}", accept=_MANIFEST).status == 200:
        return reference
    named = json.loads(image.manifest)
    _upload(registry, repository, named["layers"][0]["digest"], image.layer)
    _upload(registry, repository, named["config"]["digest"], image.config)
    path = f"/v2/{repository}/manifests/{image.digest}"
    _expect(201, registry, "PUT", path, _Body(image.manifest, _MANIFEST))
    return reference


def libraries(*binaries: Path) -> list[Entry]:
    """The shared libraries that programs load, where they look for them, by `ldd`: for an image of these alone."""
    words = (answer(["ldd", *binaries]) or "").split()
    paths = sorted({word for word in words if word.startswith("/") and not word.endswith(":")})
    return [Entry(path.removeprefix("/"), Path(path).resolve(), 0o755) for path in paths]


def _write(entries: Iterable[Entry], file: IO[bytes]) -> None:
    wanted = {entry.path: entry for entry in entries}
    for path in list(wanted):
        for parent in Path(path).parents:
            if str(parent) != ".":
                wanted.setdefault(str(parent), Entry(str(parent), mode=0o755))
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, entry in sorted(wanted.items()):
            info = tarfile.TarInfo(path)
            info.mode = entry.mode
            if entry.link:
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.link, 0o777
                tar.addfile(info)
            elif entry.source is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            else:
                info.size = entry.source.stat().st_size
                with entry.source.open("rb") as content:
                    tar.addfile(info, content)


def _upload(registry: str, repository: str, digest: str, content: Path | bytes) -> None:
    if _ask(registry, "HEAD", f"/v2/{repository}/blobs/{digest}").status == 200:
        return
    begun = _expect(202, registry, "POST", f"/v2/{repository}/blobs/uploads/", _Body(b""))
    place = urlsplit(begun.headers["Location"])
    path = f"{place.path}?{place.query + '&' if place.query else ''}digest={digest}"
    _expect(201, registry, "PUT", path, _Body(content, "application/octet-stream"))


@dataclass(frozen=True)
class _Body:
    content: Path | bytes
    type: str = ""

    @property
    def headers(self) -> dict[str, str]:
        size = self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)
        return {"Content-Length": str(size)} | ({"Content-Type": self.type} if self.type else {})

    def opened(self) -> AbstractContextManager[IO[bytes]]:
        return self.content.open("rb") if isinstance(self.content, Path) else io.BytesIO(self.content)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    said: bytes


def _expect(status: int, registry: str, method: str, path: str, body: _Body) -> _Answer:
    got = _ask(registry, method, path, body)
    if got.status != status:
        raise OSError(f"The registry {registry} answered {got.status} to {method} {path}: {got.said[:200]!r}")
    return got


def _ask(registry: str, method: str, path: str, body: _Body | None = None, accept: str = "") -> _Answer:
    headers = (body.headers if body else {}) | ({"Accept": accept} if accept else {})
    connection = http.client.HTTPConnection(registry, timeout=60, blocksize=_CHUNK)
    try:
        with body.opened() if body else nullcontext() as sent:
            connection.request(method, path, sent, headers)
        answered = connection.getresponse()
        return _Answer(answered.status, answered.headers, answered.read())
    finally:
        connection.close()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
