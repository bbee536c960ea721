"""The plugin as the engine installs it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from localcloud.awsplugin import tarball


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    first = tarball.write(tmp_path / "a.tgz", Path(sys.executable)).read_bytes()
    assert tarball.write(tmp_path / "b.tgz", Path(sys.executable)).read_bytes() == first


def test_the_launcher_serves_from_any_folder_whatever_lies_in_it(tmp_path: Path) -> None:
    with tarfile.open(tarball.write(tmp_path / "a.tgz", Path(sys.executable))) as archive:
        archive.extractall(tmp_path, filter="data")
    project = tmp_path / "project"
    project.mkdir()
    (project / "grpc.py").write_text("raise SystemExit('a file of the project was taken for a library')")
    launcher = tmp_path / tarball.LAUNCHER
    process = subprocess.Popen([launcher, "127.0.0.1:1", "-v=9"], stdout=subprocess.PIPE, cwd=project)
    try:
        assert process.stdout is not None
        assert 0 < int(process.stdout.readline()) < 65536
    finally:
        process.terminate()
        assert process.wait(60) == 0


def test_a_path_with_a_space_or_a_quote_is_kept(tmp_path: Path) -> None:
    text = tarball.launcher(Path("/my env/bin/python"), Path("/it's here"))
    assert "exec '/my env/bin/python' -P -c" in text
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_it_needs_nothing_beyond_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); from localcloud.awsplugin import tarball; tarball.version();"
        "print(sorted({m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "['localcloud']"
