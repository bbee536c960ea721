"""Archives as zip bytes: the same content gives the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from localcloud.awsplugin.failures import InvalidError
from localcloud.awsplugin.wire import Archive, Asset

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold


def zip_bytes(archive: Archive | Asset) -> bytes:
    """The zip that an archive stands for.

    A `.zip` file passes through as it is. A folder, or a mapping of names to assets, is packed: entries sorted, times
    fixed, permissions 0644 or 0755.

    Raises:
        InvalidError: A path is not there, or the archive is of a kind that cannot be had from this machine.
    """
    if isinstance(archive, Asset):
        return _content(archive)
    if archive.path is not None:
        path = _existing(archive.path)
        if path.is_file():
            return _zip_file(path)
    elif archive.assets is None:
        raise InvalidError(f"an archive at {archive.uri!r}: the local AWS plugin takes paths and assets, no addresses")
    return _pack(dict(_members(archive)))


def _zip_file(path: Path) -> bytes:
    if not zipfile.is_zipfile(path):
        raise InvalidError(f"{path} is not a zip file; Lambda code is a .zip, a folder or an AssetArchive")
    return path.read_bytes()


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise InvalidError(f"{text!r} does not exist (looked from {Path.cwd()})")
    return path


def _content(asset: Asset) -> bytes:
    if asset.path is not None:
        return _existing(asset.path).read_bytes()
    if asset.text is not None:
        return asset.text.encode()
    raise InvalidError(f"an asset at {asset.uri!r}: the local AWS plugin takes paths and texts, no addresses")


def _members(archive: Archive) -> Iterator[tuple[str, tuple[bytes, bool]]]:
    """Entry name -> bytes and whether it is executable."""
    if archive.path is not None:
        path = _existing(archive.path)
        if path.is_dir():
            for file in path.rglob("*"):
                if file.is_file():
                    yield file.relative_to(path).as_posix(), (file.read_bytes(), bool(file.stat().st_mode & 0o100))
            return
        with zipfile.ZipFile(path) as inner:
            for info in inner.infolist():
                if not info.is_dir():
                    yield info.filename, (inner.read(info), bool(info.external_attr >> 16 & 0o100))
        return
    for name, item in (archive.assets or {}).items():
        if isinstance(item, Asset):
            executable = item.path is not None and bool(_existing(item.path).stat().st_mode & 0o100)
            yield name, (_content(item), executable)
        else:
            for inner_name, member in _members(item):
                yield f"{name}/{inner_name}", member


def _pack(members: dict[str, tuple[bytes, bool]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, (content, executable) in sorted(members.items()):
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (0o100755 if executable else 0o100644) << 16
            packed.writestr(info, content)
    return buffer.getvalue()
