from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from modelstack.monitoring.custom import files, load
from modelstack.pipeline.project import SOURCES
from modelstack.program.aws.lambda_zip import ROOMS, seal

ROOT = Path(__file__).resolve().parents[4]


def copy(folder: Path) -> Path:
    for room in ROOMS:
        shutil.copytree(
            SOURCES / "modelstack" / room, folder / "modelstack" / room, ignore=shutil.ignore_patterns("__pycache__")
        )
    (folder / "modelstack" / "__init__.py").touch()
    return folder


def test_two_checkouts_at_two_times_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = copy(tmp_path / "one"), copy(tmp_path / "two")
    for path in second.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (second / "modelstack" / "rollout" / "__pycache__").mkdir()
    (second / "modelstack" / "rollout" / "__pycache__" / "plan.cpython-311.pyc").write_bytes(b"x")
    a, b = seal(first, tmp_path / "a"), seal(second, tmp_path / "b")
    assert a.path.read_bytes() == b.path.read_bytes()
    assert (a.path.name, a.sha256_base64) == (b.path.name, b.sha256_base64)


def test_its_digest_is_of_its_bytes_and_changes_with_a_source(tmp_path: Path) -> None:
    root, out = copy(tmp_path / "root"), tmp_path / "out"
    before = seal(root, out)
    assert before.sha256_base64 == base64.b64encode(hashlib.sha256(before.path.read_bytes()).digest()).decode()
    assert seal(root, out) == before
    assert list(out.iterdir()) == [before.path], "one archive and no parts"
    (root / "modelstack" / "rollout" / "plan.py").write_text("# changed\n")
    assert seal(root, out).sha256_base64 != before.sha256_base64


def test_the_projects_own_metrics_are_next_to_the_library_and_without_them_nothing_changes(tmp_path: Path) -> None:
    before = seal(SOURCES, tmp_path / "before")
    (tmp_path / "monitoring").mkdir()
    (tmp_path / "monitoring" / "README.md").touch()
    assert seal(SOURCES, tmp_path / "out", files(tmp_path / "monitoring")).sha256_base64 == before.sha256_base64
    (tmp_path / "monitoring" / "metrics.py").write_text("LIMIT = 3")
    with zipfile.ZipFile(seal(SOURCES, tmp_path / "out", files(tmp_path / "monitoring")).path) as archive:
        assert archive.read("monitoring/metrics.py") == b"LIMIT = 3"
        assert "modelstack/services/custom_metrics.py" in archive.namelist()


def test_a_function_finds_the_projects_own_metrics_in_its_archive(tmp_path: Path) -> None:
    own = ROOT / "monitoring"
    with zipfile.ZipFile(seal(SOURCES, tmp_path / "out", files(own)).path) as archive:
        archive.extractall(tmp_path / "task")
    digest, path = load(own).digest, str(tmp_path / "task")
    program = "from modelstack.services.custom_metrics import deployed"
    program = (
        f"import sys; sys.path.insert(0, {path!r}); {program}; print(deployed({digest!r}).compared()['passenger_cost'])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert "name='passenger_cost', kind='mean'" in done.stdout, done.stderr


def test_it_is_small_and_holds_only_the_rooms_of_handlers(tmp_path: Path) -> None:
    bundle = seal(SOURCES, tmp_path)
    assert bundle.path.stat().st_size < 1_024_000
    names = zipfile.ZipFile(bundle.path).namelist()
    assert names == sorted(names)
    assert {name.split("/")[1] for name in names} == {*ROOMS, "__init__.py", "forms.py"}
    assert "packages/modelstack/tests/simulator/platform.py" not in names


@pytest.mark.slow
def test_every_handler_can_be_imported_from_the_archive_alone(tmp_path: Path) -> None:
    bundle = seal(SOURCES, tmp_path)
    names = "advance, drift, labels, rollback"
    program = f"from modelstack.platforms.aws.handlers import {names}; print(drift.__file__)"
    unpacked = tmp_path / "unpacked"
    zipfile.ZipFile(bundle.path).extractall(unpacked)
    # The project is installed editable here; the archive's folder comes first, as Lambda's does.
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    run = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith(str(unpacked))


def test_a_missing_room_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="monitoring: no Python files"):
        seal(tmp_path, tmp_path / "out")
