from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from modelstack.pipeline import archive
from modelstack.pipeline.archive import ArchiveError
from modelstack.serving import unpacking

word = st.text("abcXYZ019._-", min_size=1, max_size=8).filter(lambda text: not text.startswith("."))
name = st.lists(word, min_size=1, max_size=4).map("/".join)
contents = st.dictionaries(name, st.binary(max_size=300), max_size=6)


def sealable(files: dict[str, bytes]) -> bool:
    names = {one.casefold() for one in files}
    folders = {parent.as_posix() for one in names for parent in Path(one).parents}
    return len(names) == len(files) and not names & folders and "manifest.json" not in names


def manifest_of(files: dict[str, bytes]) -> bytes:
    return json.dumps({"files": {one: hashlib.sha256(files[one]).hexdigest() for one in files}}).encode()


def package(files: dict[str, bytes], to: Path) -> str:
    return archive.seal({**files, "manifest.json": manifest_of(files)}, to)


def tarball(path: Path, *entries: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for entry, content in entries:
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.mark.slow
@given(contents.filter(sealable))
@settings(max_examples=50, deadline=None)
def test_what_is_sealed_is_what_is_unpacked(files: dict[str, bytes]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        digest = package(files, path)
        assert archive.verify(path, digest).sha256 == hashlib.sha256(manifest_of(files)).hexdigest()
        archive.unpack(path, Path(folder) / "out")
        found = {
            one.relative_to(Path(folder) / "out").as_posix(): one.read_bytes()
            for one in (Path(folder) / "out").rglob("*")
            if one.is_file()
        }
        assert found == {**files, "manifest.json": manifest_of(files)}
        assert all(archive.read(path, one) == files[one] for one in files)
        told = archive.documents(path)
        assert told == {one: found[one] for one in found if "/" not in one and one.endswith(".json")}


@pytest.mark.slow
@given(contents.filter(sealable), st.randoms())
@settings(max_examples=50, deadline=None)
def test_order_place_time_and_mode_leave_no_trace(files: dict[str, bytes], random):
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, bytes | Path] = {}
        items = list(files.items())
        random.shuffle(items)
        for number, (one, content) in enumerate(items):
            paths[one] = Path(folder) / str(number)
            paths[one].write_bytes(content)
            paths[one].chmod(random.choice([0o600, 0o755]))
            os.utime(paths[one], (number, number))
        first = archive.seal(files, Path(folder) / "first.tar.gz")
        assert archive.seal(paths, Path(folder) / "second") == first


def test_the_bytes_of_an_archive_never_change_without_the_format(tmp_path: Path):
    """If this fails, the same recipe gives other bytes than before: raise modelstack.pipeline.recipe.FORMAT,
    and this digest.
    """
    files = {"a.txt": b"content", "code/model/b.py": b"x" * 200_000, "manifest.json": b"{}"}
    assert archive.seal(files, tmp_path / "model.tar.gz") == (
        "sha256:5786e6e57d0e28932341b59329f2cac35fc43cb722506f5b0238b8846d65e076"
    )


def test_an_archive_is_a_plain_tar_gz_to_everybody_else(tmp_path: Path):
    files = {"a.txt": b"content", "code/model/b.py": os.urandom(300_000)}
    package(files, tmp_path / "model.tar.gz")
    assert len(gzip.decompress((tmp_path / "model.tar.gz").read_bytes())) > 300_000
    with tarfile.open(tmp_path / "model.tar.gz") as tar:
        members = tar.getmembers()
        assert [one.name for one in members] == ["a.txt", "code/model/b.py", "manifest.json"]
        assert {(one.mode, one.mtime, one.uid, one.gid, one.uname) for one in members} == {(0o644, 0, 0, 0, "")}
        assert tar.extractfile("code/model/b.py").read() == files["code/model/b.py"]


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_any_changed_byte_is_noticed(sealed, data: st.DataObject):
    whole = sealed.path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    changed = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        path.write_bytes(changed)
        with pytest.raises(ArchiveError, match=f"has digest sha256:{hashlib.sha256(changed).hexdigest()}, expected"):
            archive.verify(path, sealed.digest)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=100, deadline=None)
def test_without_the_digest_the_manifest_still_notices_changed_content(data: st.DataObject):
    files = {"a": b"first", "b/c": b"second"}
    which = data.draw(st.sampled_from(sorted(files)))
    other = data.draw(st.binary(max_size=10))
    assume(other != files[which])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        archive.seal({**files, which: other, "manifest.json": manifest_of(files)}, path)
        with pytest.raises(ArchiveError, match=f"{which} has sha256 {hashlib.sha256(other).hexdigest()}"):
            archive.verify(path)


def test_a_cut_archive_is_refused(sealed, tmp_path: Path):
    whole = sealed.path.read_bytes()
    for length in (0, 1, 10, 1000, len(whole) // 2, len(whole) - 20_000):
        (tmp_path / "cut").write_bytes(whole[:length])
        # Cut between two entries it is a whole archive, which has no manifest, or one that misses files.
        with pytest.raises(ArchiveError, match=r"not a model archive|has no manifest\.json|has sha256 nothing"):
            archive.verify(tmp_path / "cut")
    # After its last entry an archive has only padding and gzip's check sum: their loss is for the digest to notice.
    (tmp_path / "cut").write_bytes(whole[:-1])
    with pytest.raises(ArchiveError, match="has digest"):
        archive.verify(tmp_path / "cut", sealed.digest)


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", gzip.compress(b"not tar" * 100, mtime=0)], ids=["empty", "text", "gzip"]
)
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ArchiveError):
        archive.verify(tmp_path / "file")


@pytest.mark.parametrize(
    "bad",
    ["../up", "/root", "a/../../b", "a//b", "./a", "a\\b", "a b", ".hidden", "a/.ssh/b", "", "a\nb", "x" * 101, "é"],
)
def test_a_name_that_leaves_the_folder_or_hides_is_refused_both_ways(tmp_path: Path, bad: str):
    with pytest.raises(ArchiveError):
        archive.seal({bad: b""}, tmp_path / "model.tar.gz")
    assert not (tmp_path / "model.tar.gz").exists()
    tarball(tmp_path / "made", (tarfile.TarInfo(bad), b"x"))
    with pytest.raises(ArchiveError):
        archive.unpack(tmp_path / "made", tmp_path / "out")
    assert not (tmp_path / "up").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_an_entry_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes):
    entry = tarfile.TarInfo("entry")
    entry.type, entry.linkname = kind, "/etc/passwd"
    tarball(tmp_path / "made", (entry, b""))
    with pytest.raises(ArchiveError, match="'entry' is not a plain file"):
        archive.unpack(tmp_path / "made", tmp_path / "out")


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [("a", "a", "twice"), ("a", "A", "case only"), ("a", "a/b", "clashes"), ("a/b", "a", "clashes")],
)
def test_names_that_collide_are_refused(tmp_path: Path, first: str, second: str, said: str):
    tarball(tmp_path / "made", (tarfile.TarInfo(first), b"1"), (tarfile.TarInfo(second), b"2"))
    with pytest.raises(ArchiveError, match=said):
        archive.verify(tmp_path / "made")


def test_an_archive_that_unpacks_to_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(unpacking, "MAX_BYTES", 1000)
    archive.seal({"a": b"x" * 600, "b": b"x" * 600}, tmp_path / "model.tar.gz")
    with pytest.raises(ArchiveError, match="more than 1,000 bytes"):
        archive.unpack(tmp_path / "model.tar.gz", tmp_path / "out")


def test_files_that_the_manifest_does_not_name_or_that_are_missing_are_refused(tmp_path: Path):
    archive.seal({"a": b"1", "manifest.json": manifest_of({})}, tmp_path / "more")
    with pytest.raises(ArchiveError, match=r"a has sha256 .* the manifest says no such file"):
        archive.verify(tmp_path / "more")
    archive.seal({"manifest.json": manifest_of({"a": b"1"})}, tmp_path / "less")
    with pytest.raises(ArchiveError, match="a has sha256 nothing, the manifest says"):
        archive.verify(tmp_path / "less")


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"files": []}', b"\xff"])
def test_an_archive_without_a_manifest_that_lists_files_is_refused(tmp_path: Path, manifest: bytes):
    archive.seal({"manifest.json": manifest}, tmp_path / "model.tar.gz")
    with pytest.raises(ArchiveError, match=r"no manifest\.json that lists its files"):
        archive.verify(tmp_path / "model.tar.gz")


def test_an_archive_is_not_unpacked_over_other_files(sealed, tmp_path: Path):
    (tmp_path / "there").touch()
    with pytest.raises(ArchiveError, match="is not empty"):
        archive.unpack(sealed.path, tmp_path)


def test_sealing_that_fails_leaves_the_old_archive(tmp_path: Path):
    archive.seal({"a": b"1"}, tmp_path / "model.tar.gz")
    before = (tmp_path / "model.tar.gz").read_bytes()
    with pytest.raises(FileNotFoundError):
        archive.seal({"a": tmp_path / "missing"}, tmp_path / "model.tar.gz")
    assert (tmp_path / "model.tar.gz").read_bytes() == before
