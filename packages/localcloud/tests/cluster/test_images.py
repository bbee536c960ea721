"""Images made of files."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from localcloud.cluster import images
from localcloud.cluster.images import Entry


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF and so on")
    return path


def test_the_same_files_give_the_same_bytes_whenever_and_by_whomever_they_were_written(tmp_path: Path) -> None:
    digests = []
    for moment in (0, 1_700_000_000):
        folder = tmp_path / str(moment)
        folder.mkdir()
        for name in ("a", "b") if moment else ("b", "a"):
            (folder / name).write_text(name)
            os.utime(folder / name, (moment, moment))
        entries = [Entry(f"srv/{name.name}", name) for name in folder.iterdir()]
        digests.append(images.of(entries, tmp_path / "out", command=["/srv/a"]).digest)
    assert digests[0] == digests[1]


def test_another_content_mode_or_command_is_another_image(tmp_path: Path, program: Path) -> None:
    def digest(entry: Entry, command: str = "/run") -> str:
        return images.of([entry], tmp_path / "out", command=[command]).digest

    (other := tmp_path / "other").write_bytes(b"else")
    made = [digest(Entry("run", program)), digest(Entry("run", other)), digest(Entry("run", program, 0o755))]
    assert len({*made, digest(Entry("run", program), "/else")}) == 4


def test_folders_that_are_missing_are_made_and_what_is_given_keeps_its_mode(tmp_path: Path, program: Path) -> None:
    entries = [Entry("usr/bin/program", program, 0o755), Entry("tmp", mode=0o1777), Entry("bin", link="usr/bin")]
    image = images.of(entries, tmp_path / "out", command=["/bin/program"])
    with tarfile.open(image.layer) as tar:
        found = {info.name: (info.type, info.mode, info.linkname) for info in tar}
        assert all((info.uid, info.gid, info.mtime) == (0, 0, 0) for info in tar)
    assert found == {
        "bin": (tarfile.SYMTYPE, 0o777, "usr/bin"),
        "tmp": (tarfile.DIRTYPE, 0o1777, ""),
        "usr": (tarfile.DIRTYPE, 0o755, ""),
        "usr/bin": (tarfile.DIRTYPE, 0o755, ""),
        "usr/bin/program": (tarfile.REGTYPE, 0o755, ""),
    }


def test_the_manifest_names_what_is_there(tmp_path: Path, program: Path) -> None:
    image = images.of([Entry("run", program)], tmp_path / "out", command=["/run"], user="1000:1000")
    manifest, config = json.loads(image.manifest), json.loads(image.config)
    layer = f"sha256:{hashlib.sha256(image.layer.read_bytes()).hexdigest()}"
    assert image.digest == f"sha256:{hashlib.sha256(image.manifest).hexdigest()}"
    assert manifest["config"]["digest"] == f"sha256:{hashlib.sha256(image.config).hexdigest()}"
    assert [one["digest"] for one in manifest["layers"]] == config["rootfs"]["diff_ids"] == [layer]
    assert manifest["layers"][0]["size"] == image.layer.stat().st_size
    assert (config["config"]["Entrypoint"], config["config"]["User"]) == (["/run"], "1000:1000")


def test_a_tree_is_taken_with_its_folders_links_and_modes(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "lib").mkdir(parents=True, mode=0o750)
    (root / "lib" / "a.py").write_text("1")
    (root / "lib" / "a.py").chmod(0o640)
    (root / "b").symlink_to("lib/a.py")
    found = {entry.path: entry for entry in images.tree(root, "srv")}
    assert found["srv/lib"].source is None
    assert found["srv/lib/a.py"] == Entry("srv/lib/a.py", root / "lib" / "a.py", 0o640)
    assert found["srv/b"].link == "lib/a.py"


def test_a_programs_libraries_are_found_where_it_looks_for_them() -> None:
    paths = [entry.path for entry in images.libraries(Path("/bin/sh"))]
    assert any("libc.so" in path for path in paths)
    assert not any(path.startswith("/") for path in paths)


class _Registry(BaseHTTPRequestHandler):
    """As much of the distribution specification as a push takes."""

    held: dict[str, bytes]
    asked: list[str]
    refuses = False

    def log_message(self, *_: object) -> None: ...

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.held else 404)

    def do_POST(self) -> None:
        self._answer(202, Location=f"http://else/{self.path.strip('/')}/1?state=x")

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        place = urlsplit(self.path)
        digest = parse_qs(place.query).get("digest", [place.path.rpartition("/")[2]])[0]
        if self.refuses or digest != f"sha256:{hashlib.sha256(content).hexdigest()}":
            return self._answer(400)
        kind = "manifests" if "/manifests/" in place.path else "blobs"
        self.held[f"/v2/team/model/{kind}/{digest}"] = content
        return self._answer(201)

    def _answer(self, status: int, **headers: str) -> None:
        self.asked.append(f"{self.command} {status}")
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture
def registry() -> Generator[tuple[str, type[_Registry]]]:
    handler = type("Registry", (_Registry,), {"held": {}, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", handler
    server.shutdown()
    server.server_close()


def test_a_pushed_image_is_named_by_digest_and_not_sent_twice(
    tmp_path: Path, program: Path, registry: tuple[str, type[_Registry]]
) -> None:
    address, handler = registry
    image = images.of([Entry("run", program)], tmp_path / "out", command=["/run"])
    assert images.push(image, address, "team/model") == f"{address}/team/model@{image.digest}"
    assert image.manifest in handler.held.values()
    assert image.layer.read_bytes() in handler.held.values()
    handler.asked.clear()
    images.push(image, address, "team/model")
    assert handler.asked == ["HEAD 200"]


def test_a_registry_that_refuses_is_named(tmp_path: Path, program: Path, registry: tuple[str, type[_Registry]]) -> None:
    address, handler = registry
    handler.refuses = True
    image = images.of([Entry("run", program)], tmp_path / "out", command=["/run"])
    with pytest.raises(OSError, match=f"The registry {address} answered 400 to PUT /v2/team/model/blobs"):
        images.push(image, address, "team/model")
