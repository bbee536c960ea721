"""A cluster that may be broken: in a network and a /run of its own, so that it neither meets nor harms another one."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
_MADE = "mount -t tmpfs tmpfs /run && mkdir /run/lock && ip link set lo up && echo made && exec sleep infinity"


@dataclass(frozen=True)
class Box:
    """The process `pid` holds the network and the mounts; `folder` is a checkout for the cluster."""

    pid: int
    folder: Path

    def entering(self, *words: str) -> list[str]:
        """The command that runs a command in there."""
        return ["nsenter", f"--target={self.pid}", "--net", "--mount", f"--wd={ROOT}", *words]

    def cluster(self, verb: str) -> str:
        """Run `python -m localcloud.cluster`; what it prints."""
        words = (sys.executable, "-m", "localcloud.cluster", "--root", str(self.folder), verb)
        done = subprocess.run(self.entering(*words), capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, f"{verb}: {done.stderr}"
        return done.stdout

    def environment(self) -> Mapping[str, str]:
        words = (word for line in self.cluster("env").splitlines() for word in shlex.split(line)[1:])
        return {**dict(word.split("=", 1) for word in words), "FAULTS_ROOT": str(self.folder)}

    def start(self, words: Sequence[str], log: Path) -> subprocess.Popen[str]:
        """Start a command in there; what it says goes into a file, and what it answers into a pipe."""
        environment = {**os.environ, **self.environment(), "PYTHONUNBUFFERED": "1"}
        with log.open("w") as said:
            return subprocess.Popen(
                self.entering(*words), stdout=subprocess.PIPE, stderr=said, text=True, cwd=ROOT, env=environment
            )


@contextmanager
def box() -> Generator[Box]:
    # A socket's path is short, and so is this one, whoever runs the tests.
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    unshared = ("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _MADE)
    holding = subprocess.Popen(unshared, stdout=subprocess.PIPE, text=True)
    assert holding.stdout is not None
    assert holding.stdout.readline() == "made\n"
    made = Box(holding.pid, folder)
    try:
        made.cluster("up")
        yield made
    finally:
        made.cluster("down")
        holding.kill()
        holding.wait()
        shutil.rmtree(folder, ignore_errors=True)
