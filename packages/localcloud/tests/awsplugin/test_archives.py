"""The same content is the same zip."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import pytest

from localcloud.awsplugin.archives import zip_bytes
from localcloud.awsplugin.failures import InvalidError
from localcloud.awsplugin.wire import Archive, Asset


def entries(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {info.filename: archive.read(info) for info in archive.infolist()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    code = tmp_path / "code"
    (code / "inner").mkdir(parents=True)
    (code / "z.py").write_text("z")
    (code / "inner" / "a.py").write_text("a")
    return code


def test_a_folder_is_packed_the_same_whatever_its_times(folder: Path) -> None:
    first = zip_bytes(Archive(path=str(folder)))
    os.utime(folder / "z.py", (1, 1))
    assert zip_bytes(Archive(path=str(folder))) == first
    assert list(entries(first)) == ["inner/a.py", "z.py"]


def test_other_content_is_another_zip(folder: Path) -> None:
    first = zip_bytes(Archive(path=str(folder)))
    (folder / "z.py").write_text("other")
    assert zip_bytes(Archive(path=str(folder))) != first


def test_assets_of_the_same_content_give_the_folders_zip(folder: Path) -> None:
    assets = {"z.py": Asset(text="z"), "inner": Archive(path=str(folder / "inner"))}
    assert zip_bytes(Archive(assets=assets)) == zip_bytes(Archive(path=str(folder)))


def test_an_executable_stays_one(folder: Path) -> None:
    (folder / "z.py").chmod(0o755)
    with zipfile.ZipFile(io.BytesIO(zip_bytes(Archive(path=str(folder))))) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
    assert modes == {"z.py": 0o100755, "inner/a.py": 0o100644}


def test_a_zip_file_passes_through_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", "a")
    assert zip_bytes(Archive(path=str(path))) == path.read_bytes()
    assert entries(zip_bytes(Archive(assets={"sub": Archive(path=str(path))}))) == {"sub/a.py": b"a"}


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (Archive(path="no/such/folder"), "'no/such/folder' does not exist (looked from "),
        (Archive(path=__file__), "is not a zip file"),
        (Archive(uri="https://example.com/a.zip"), "takes paths and assets, no addresses"),
        (Archive(assets={"a": Asset(uri="https://example.com/a")}), "takes paths and texts, no addresses"),
    ],
)
def test_what_cannot_be_packed_is_refused_with_the_reason(archive: Archive, reason: str) -> None:
    with pytest.raises(InvalidError) as caught:
        zip_bytes(archive)
    assert reason in str(caught.value)
