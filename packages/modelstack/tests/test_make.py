"""What `make` does before anything is set up, and what its set-up and `make env` say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .conftest import ROOT


def test_make_names_what_to_install_when_there_is_no_python(tmp_path: Path) -> None:
    for tool in ("make", "sh"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")

    ran = subprocess.run(
        [tmp_path / "make", "setup"], cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )

    assert ran.returncode != 0
    assert "Python 3.11 or newer" in ran.stderr and "make PYTHON=" in ran.stderr


def test_make_passes_over_a_python_that_is_too_old(tmp_path: Path) -> None:
    for tool in ("make", "sh"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    for name in ("python3.11", "python3.12", "python3", "python"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 1\n")  # what the check says of a Python 3.10
        (tmp_path / name).chmod(0o755)
    (tmp_path / "python3.13").write_text("#!/bin/sh\necho /the/right/one\n")
    (tmp_path / "python3.13").chmod(0o755)

    ran = subprocess.run(
        [tmp_path / "make", "-n", "setup"],
        cwd=ROOT,
        env={"PATH": f"{tmp_path}{os.pathsep}/none"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert '"/the/right/one" -m localcloud.setup install' in ran.stdout


def _typed() -> dict[str, str]:
    """The environment of a make that a person types, not of one within the make that runs the tests."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}


def test_what_the_help_says_can_be_copied_into_a_shell() -> None:
    ran = subprocess.run(["make"], cwd=ROOT, env=_typed(), capture_output=True, text=True, check=True)

    assert 'eval "$(make -s env)"' in ran.stdout
    assert "$$" not in ran.stdout


def test_make_env_before_set_up_says_what_to_type_here(tmp_path: Path) -> None:
    for name in ("Makefile", "packages", "pyproject.toml"):
        (tmp_path / name).symlink_to(ROOT / name)

    ran = subprocess.run(["make", "-s", "env"], cwd=tmp_path, env=_typed(), capture_output=True, text=True, check=False)

    assert ran.returncode != 0
    assert ran.stdout == ""
    assert "Run the project's set-up, `make setup`." in ran.stderr
    assert "python -m" not in ran.stderr


@pytest.mark.e2e
def test_make_env_prints_exports_only() -> None:
    ran = subprocess.run(["make", "-s", "env"], cwd=ROOT, env=_typed(), capture_output=True, text=True, check=True)

    lines = ran.stdout.splitlines()
    assert ran.stderr == ""
    assert all(line.startswith(("export ", "unset ")) for line in lines)
    assert any(line.startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:") for line in lines)


@pytest.mark.e2e
def test_a_second_set_up_takes_a_moment_and_says_that_there_was_nothing_to_do() -> None:
    environ = _typed()
    subprocess.run(["make", "setup"], cwd=ROOT, env=environ, capture_output=True, check=True)
    before = stamp(ROOT)

    ran = subprocess.run(["make", "setup"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True)

    assert "there was nothing to do" in ran.stderr
    assert ran.stdout == ""
    assert stamp(ROOT) == before


def stamp(root: Path) -> list[tuple[str, int]]:
    """When each file that set-up writes was written."""
    files = [root / ".venv" / "setup-stamp.json", root / ".modelstack" / "setup.json"]
    files += (root / ".modelstack" / "pulumi-home" / "plugins").glob("*/*")
    return [(str(file), file.stat().st_mtime_ns) for file in sorted(files)]
