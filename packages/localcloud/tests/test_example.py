"""A Pulumi project that knows localcloud's wheel only does what the README says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud.setup.places import Places
from localcloud.testing import free_port

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


@pytest.mark.e2e
def test_the_commands_of_the_readme_bring_up_a_plain_project(tmp_path: Path) -> None:
    dist, cache = tmp_path / "dist", tmp_path / "cache"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", dist], cwd=ROOT, check=True)
    cache.mkdir()
    (cache / "localcloud").symlink_to(Places.here().cache)  # the engine takes minutes to build
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    (block,) = re.findall(r"## Start it.*?```sh\n(.*?)```", README, re.DOTALL)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_", "PYTHON"))}
    environ |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).resolve().parent), "/usr/bin", "/bin"]),
        "XDG_CACHE_HOME": str(cache),
        "PIP_FIND_LINKS": f"{dist} {os.environ.get('PIP_FIND_LINKS', '')}",
        "LOCALCLOUD_PORT": str(free_port()),
    }
    script = f"trap 'cd {tmp_path}/greetings && .venv/bin/localcloud stop' EXIT\nset -eu\n{block}"

    ran = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=600, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert '{"greeting": "Hello, Ada!"}' in ran.stdout
    assert "+ 8 created" in ran.stdout
    state = tmp_path / "greetings" / ".localcloud"
    assert (state / ".gitignore").read_text() == "*\n"
    assert not (state / "cloud" / "server.json").exists()
