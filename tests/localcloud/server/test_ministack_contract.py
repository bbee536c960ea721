"""The private names of ministack that the local cloud stands on: none may move without our notice."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from localcloud.server import process

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.e2e
def test_every_private_name_is_as_we_use_it():
    script = Path(__file__).with_name("ministack_names.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [str(process.find_python(ROOT)), str(script)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_version_is_pinned():
    assert "ministack==1.5.33" in (ROOT / "requirements" / "localcloud.in").read_text()
