"""Archives, good and bad."""

from __future__ import annotations

import errno
import io
import os
import shutil
import tarfile

import pytest

from localcloud.sagemaker.archive import Archives, ArchiveUnusable

URL = "s3://models/m/model.tar.gz"


@pytest.fixture
def archives(tmp_path, inside):
    return Archives(tmp_path / "archives", lambda: inside.aws)


def fetched(archives, inside, content: bytes) -> str:
    inside.aws.objects["models", "m/model.tar.gz"] = content
    return archives.fetch(URL)


def tar_with(entry: tarfile.TarInfo, content: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    entry.size = len(content)
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_an_archive_is_laid_out_as_it_was_packed(archives, inside, tar_of, tmp_path):
    sha = fetched(archives, inside, tar_of({"manifest.json": b"{}", "code/model/serving.py": b"pass"}))
    archives.unpack(sha, tmp_path / "out", URL)
    assert (tmp_path / "out/manifest.json").read_bytes() == b"{}"
    assert (tmp_path / "out/code/model/serving.py").read_bytes() == b"pass"


def test_the_user_of_a_container_may_read_what_was_laid_out(archives, inside, tar_of, tmp_path):
    before = os.umask(0o077)  # that of the server
    try:
        sha = fetched(archives, inside, tar_of({"code/model/serving.py": b"pass"}))
        archives.unpack(sha, tmp_path / "out", URL)
    finally:
        os.umask(before)
    found = [tmp_path / "out" / name for name in (".", "code", "code/model", "code/model/serving.py")]
    assert [path.stat().st_mode & 0o777 for path in found] == [0o755, 0o755, 0o755, 0o644]


def test_the_same_bytes_are_kept_once_and_others_beside_them(archives, inside, tar_of, tmp_path):
    first = fetched(archives, inside, tar_of({"a": b"1"}))
    assert fetched(archives, inside, tar_of({"a": b"1"})) == first
    second = fetched(archives, inside, tar_of({"a": b"2"}))
    assert {file.name for file in (tmp_path / "archives").iterdir()} == {first, second}
    archives.keep_only({second})
    assert [file.name for file in (tmp_path / "archives").iterdir()] == [second]


def test_kept_bytes_that_changed_are_noticed(archives, inside, tar_of, tmp_path):
    sha = fetched(archives, inside, tar_of({"a": b"1"}))
    assert archives.has(sha)
    (tmp_path / "archives" / sha).write_bytes(b"other")
    assert not archives.has(sha)
    assert not archives.has("0" * 64)


def test_an_object_that_is_not_there_is_told_with_its_address(archives, tmp_path):
    with pytest.raises(ArchiveUnusable, match=r"s3://models/m/model\.tar\.gz"):
        archives.fetch(URL)
    assert list((tmp_path / "archives").iterdir()) == []


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside", "a/b/../../../outside"])
def test_an_entry_outside_the_folder_is_refused(archives, inside, tmp_path, path):
    sha = fetched(archives, inside, tar_with(tarfile.TarInfo(path), b"x"))
    with pytest.raises(ArchiveUnusable, match="points outside"):
        archives.unpack(sha, tmp_path / "deep/er/out", URL)
    assert not list(tmp_path.rglob("outside"))
    assert not (tmp_path / "deep/er/out").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_are_refused(archives, inside, tmp_path, kind):
    entry = tarfile.TarInfo("thing")
    entry.type, entry.linkname = kind, "/etc/passwd"
    sha = fetched(archives, inside, tar_with(entry))
    with pytest.raises(ArchiveUnusable, match="neither a file nor a folder"):
        archives.unpack(sha, tmp_path / "out", URL)


@pytest.mark.parametrize("damage", ["cut", "flipped", "zeros"])
def test_damaged_bytes_are_refused(archives, inside, tar_of, tmp_path, damage):
    good = bytearray(tar_of({"a": bytes(range(256)) * 4000}))
    if damage == "cut":
        good = good[: len(good) // 2]
    elif damage == "flipped":
        good[len(good) // 2] ^= 0xFF
    else:
        good[100:200] = bytes(100)
    sha = fetched(archives, inside, bytes(good))
    with pytest.raises(ArchiveUnusable, match="Failed to extract"):
        archives.unpack(sha, tmp_path / "out", URL)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_no_fault_of_the_archive(archives, inside, tar_of, tmp_path, monkeypatch):
    sha = fetched(archives, inside, tar_of({"manifest.json": b"{}"}))

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        archives.unpack(sha, tmp_path / "out", URL)
    assert not (tmp_path / "out").exists()
