"""A machine within the machine, so that a test's cluster neither meets nor harms one that runs here."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud.cluster import binaries, machine
from localcloud.cluster.access import layout_of
from localcloud.cluster.layout import Layout
from localcloud.setup.places import Places

_INSIDE = Path(__file__).with_name("inside.py")
_MADE = "mount -t tmpfs tmpfs /run && mkdir /run/lock && ip link set lo up && echo made && exec sleep infinity"


@dataclass(frozen=True)
class Box:
    """A network and a /run of their own, and a checkout in a folder.

    Attributes:
        pid: The process that holds them.
        places: The checkout.
    """

    pid: int
    places: Places

    @property
    def layout(self) -> Layout:
        """Where its cluster lies."""
        return layout_of(self.places)

    def run(self, *words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in there."""
        entered = ["nsenter", f"--target={self.pid}", "--net", "--mount", f"--wd={self.places.root}", *map(str, words)]
        return subprocess.run(entered, input=given, capture_output=True, text=True, check=False, timeout=600)

    def cluster(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command `python -m localcloud.cluster`."""
        return self.run(sys.executable, "-m", "localcloud.cluster", *words)

    def ask(self, *words: str | Path) -> str:
        """Ask by `inside.py`."""
        done = self.run(sys.executable, _INSIDE, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    def kubectl(self, *words: str, given: str | None = None) -> str:
        """Run kubectl as the administrator; what it prints."""
        kubectl = binaries.provided(self.places.cache).programs["kubectl"]
        done = self.run(kubectl, "--kubeconfig", self.layout.kubeconfig, *words, given=given)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def marked(self) -> set[int]:
        """The processes of its cluster."""
        mark = f"LOCALCLOUD_STATE={self.layout.state}\0".encode()
        return {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if mark in _read(entry / "environ")}

    def names(self) -> list[str]:
        """What they are called, sorted; a program that runs twice stands there twice."""
        words = (_read(Path(f"/proc/{pid}/cmdline")).split(b"\0") for pid in self.programs())
        return sorted(" ".join(word.decode().rpartition("/")[2] for word in said[:3]) for said in words if said[0])

    def programs(self) -> set[int]:
        """Those of them that the cluster is made of: neither what looks after a container nor the database's own."""
        words = {pid: _read(Path(f"/proc/{pid}/cmdline")) for pid in self.marked()}
        return {
            pid for pid, said in words.items() if said and b"containerd-shim" not in said and b"postgres:" not in said
        }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has just ended
        return b""


def eventually(held: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not held():
        assert time.monotonic() < end, f"{what} does not hold after {seconds:g} s"
        time.sleep(0.25)


@pytest.fixture(scope="session")
def cache() -> Path:
    """The user's cache, with everything in it that takes long to build; skips where it is not there."""
    places = Places.here()
    if why := machine.unfit(Layout(Path("/"))):
        pytest.skip(f"no cluster can run here: {why}")
    if lacking := [*machine.lacking(), *binaries.unbuilt(places)]:
        pytest.skip(f"`make cluster` provides {', '.join(lacking)}")
    return places.cache


@pytest.fixture(scope="module")
def root() -> Generator[Path]:
    """A folder with a short path, whoever runs the tests: sockets lie below it, and their paths may not be long."""
    with tempfile.TemporaryDirectory(prefix="box-", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def box(root: Path, cache: Path) -> Generator[Box]:
    """A machine that runs no cluster."""
    (root / ".venv" / "bin").mkdir(parents=True)
    (root / "pyproject.toml").write_text(f"[tool.localcloud]\nname = {json.dumps(cache.name)}\n")
    holding = subprocess.Popen(
        ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", _MADE],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holding.stdout is not None
    assert holding.stdout.readline() == "made\n"
    made = Box(holding.pid, Places.of(root))
    try:
        yield made
    finally:
        made.cluster("down")
        holding.kill()
        holding.wait()
