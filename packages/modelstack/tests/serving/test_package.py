"""Nothing of a package runs before all of it was checked."""

from __future__ import annotations

import hashlib
import json
import pickle
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.process import python
from tests.serving.packages import Server, refused, served, write

ROOT = Path(__file__).resolve().parents[4]
EXAMPLE = ROOT / "model" / "example_request.json"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(folder: Path, **changes: str) -> tuple[int, str]:
    manifest = folder / "manifest.json"
    return refused(folder, changes.pop("sealed_as", digest(manifest) if manifest.exists() else "0" * 64), **changes)


def serving(folder: Path) -> AbstractContextManager[Server]:
    return served(folder, digest(folder / "manifest.json"))


def ask(server: Server) -> list[Any]:
    return server.predictions(*json.loads(EXAMPLE.read_bytes())["instances"])


def reseal(folder: Path) -> None:
    """Make the manifest name what is in the folder now, as someone who can write the package could."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    files = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*") if one.is_file() and one != path}
    path.write_text(json.dumps({**manifest, "files": {name: digest(one) for name, one in files.items()}}))


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.e2e
def test_a_sealed_package_serves_without_pandas_and_is_left_as_it_was_so_that_it_can_be_started_again(unpacked: Path):
    before = sorted(path.relative_to(unpacked) for path in unpacked.rglob("*"))
    for _ in range(2):
        with serving(unpacked) as server:
            (prediction,) = ask(server)
            assert 0 < prediction["probability"] < 1
            maps = [Path(f"/proc/{worker}/maps").read_text() for worker in server.workers()]
            assert [one for one in maps if "/pandas/" in one] == []
    assert sorted(path.relative_to(unpacked) for path in unpacked.rglob("*")) == before


def test_a_changed_model_is_refused_before_it_is_unpickled(unpacked: Path, tmp_path: Path):
    mark = tmp_path / "unpickled"
    before = digest(unpacked / "model.joblib")
    (unpacked / "model.joblib").write_bytes(pickle.dumps(Bomb(mark)))
    status, said = run(unpacked)
    assert status == 1
    assert f"model.joblib has sha256 {digest(unpacked / 'model.joblib')}, expected {before}" in said
    assert not mark.exists()


def test_a_changed_model_with_a_manifest_to_match_is_refused_too(unpacked: Path, tmp_path: Path):
    sealed_as = digest(unpacked / "manifest.json")
    (unpacked / "model.joblib").write_bytes(pickle.dumps(Bomb(tmp_path / "unpickled")))
    reseal(unpacked)
    status, said = run(unpacked, sealed_as=sealed_as)
    assert status == 1
    assert f"manifest.json has sha256 {digest(unpacked / 'manifest.json')}, expected {sealed_as}" in said
    assert not (tmp_path / "unpickled").exists()


def test_changed_code_is_refused_before_it_is_imported(unpacked: Path, tmp_path: Path):
    with (unpacked / "code/model/serving.py").open("a") as code:
        code.write(f"\nopen({str(tmp_path / 'imported')!r}, 'w')\n")
    status, said = run(unpacked)
    assert (status, "code/model/serving.py has sha256" in said) == (1, True)
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize("name", ["code/sitecustomize.py", "code/model/__pycache__/serving.cpython-311.pyc", "x"])
def test_a_file_that_was_not_sealed_is_refused(unpacked: Path, name: str):
    (unpacked / name).parent.mkdir(exist_ok=True)
    (unpacked / name).touch()
    status, said = run(unpacked)
    assert status == 1
    assert f"is refused: {name} is not in the manifest: the package has a file that was not sealed" in said


@pytest.mark.parametrize("linked", [False, True], ids=["missing", "a link to the right content"])
def test_a_missing_file_is_refused(unpacked: Path, tmp_path: Path, linked: bool):
    moved = (unpacked / "metrics.json").rename(tmp_path / "metrics.json")
    if linked:
        (unpacked / "metrics.json").symlink_to(moved)
    status, said = run(unpacked)
    assert (status, "metrics.json is in the manifest, but not a file" in said) == (1, True)


@pytest.mark.slow
def test_a_folder_that_is_no_package_is_refused(tmp_path: Path):
    status, said = run(tmp_path)
    assert (status, "manifest.json does not exist: this is not a sealed model package" in said) == (1, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"python": "2.7"}, "sealed with Python 2.7, this is Python 3.11"),
        ({"libraries": {"scikit-learn": "0.1"}}, "sealed with scikit-learn 0.1, here it is"),
        ({"libraries": {"no-such-library": "1.0"}}, "sealed with no-such-library 1.0, here it is not installed"),
    ],
)
def test_another_python_or_library_than_sealed_with_is_refused(unpacked: Path, change: dict, said: str):
    path = unpacked / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    status, last = run(unpacked)
    assert (status, said in last) == (1, True), last


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sealed_as": ""}, "MODELSTACK_MANIFEST_SHA256 is '': expected"),
        *(
            ({"SAGEMAKER_BIND_TO_PORT": port}, f"SAGEMAKER_BIND_TO_PORT is {port!r}: expected a port")
            for port in ("http", "0", "65536", "-1")
        ),
        ({"command": "train"}, "command 'train' is not known: expected serve or fetch"),
        ({"MODELSTACK_VARIANT": "v\r\nx: y"}, "MODELSTACK_VARIANT is 'v\\r\\nx: y': expected letters, digits"),
        ({"MODELSTACK_CAPTURE": "ftp://x"}, "cannot serve: MODELSTACK_CAPTURE is 'ftp://x': expected"),
    ],
)
def test_a_wrong_setting_or_command_is_named_and_nothing_is_served(unpacked: Path, change: dict[str, str], said: str):
    status, last = run(unpacked, **change)
    assert (status, said in last) == (2, True), last


@pytest.mark.e2e
def test_model_code_that_raises_on_import_ends_the_process_with_its_reason(unpacked: Path):
    with (unpacked / "code/model/serving.py").open("a") as code:
        code.write("\nraise RuntimeError('the model is not ready')\n")
    reseal(unpacked)
    status, said = run(unpacked)
    assert (status, said) == (3, "cannot serve: the model's code failed: RuntimeError: the model is not ready")


@pytest.mark.e2e
def test_code_that_changes_after_the_check_is_not_run(unpacked: Path):
    program = (
        "import sys; from pathlib import Path; from importlib import import_module\n"
        "from modelstack.serving import package\n"
        "folder = Path(sys.argv[1]); manifest = package.verify(folder, sys.argv[2])\n"
        "(folder / 'code/model/features.py').write_text('print(1)')\n"
        "package.code_from(folder, manifest); import_module('model.features')\n"
    )
    done = python("-c", program, str(unpacked), digest(unpacked / "manifest.json"))
    assert "ImportError: code/model/features.py is not what the manifest names" in done.stderr


@pytest.mark.e2e
def test_a_port_that_is_taken_ends_the_process(unpacked: Path):
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        status, said = run(unpacked, SAGEMAKER_BIND_TO_PORT=str(taken.getsockname()[1]))
    assert status != 0
    assert "Address already in use" in said


@pytest.mark.e2e
def test_a_model_may_bring_a_server_of_its_own(tmp_path: Path):
    code = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"predictions": [7]}')

    def log_message(self, *words):
        pass

def main(folder, host, port):
    HTTPServer((host, port), Handler).serve_forever()
"""
    write(tmp_path / "m", code, server="own")
    with serving(tmp_path / "m") as server:
        assert ask(server) == [7]
