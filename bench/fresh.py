"""A project in an empty environment and an empty repository, made with nothing but the built wheels."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from bench import ROOT
from bench.bed import BenchError
from bench.rows import Row
from localcloud.setup import Installer, Places
from localcloud.testing import free_port

PACKAGES = ("modelstack", "localcloud")
PREVIOUS = "84aae9e80ccc"
"""The commit whose wheels stand for the previous version."""
_FUNCTION = "aws:lambda/function:Function"
_CODE = {"code", "sourceCodeHash"}
_OURS = ("AWS_", "LOCALCLOUD_", "MODELSTACK_", "PULUMI_", "PYTEST_", "PYTHON", "VIRTUAL_ENV")
"""First letters of the variables that would lead to this checkout or its cloud."""


@dataclass(frozen=True)
class Fresh:
    """A folder with wheels, an environment that has only them, and the folder of a project.

    Attributes:
        folder: Everything is in it.
        environment: All variables of the commands; `point` adds those of the project's local cloud.
    """

    folder: Path
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def project(self) -> Path:
        """The repository of the project."""
        return self.folder / "churn"

    def start(self, command: str) -> subprocess.Popen[str]:
        """Start a shell's commands in the project's folder; the first that fails ends them."""
        return subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def run(self, command: str, status: int = 0) -> str:
        """Run them to their end; what they print.

        Raises:
            BenchError: They end with another status, or with a traceback.
        """
        process = self.start(command)
        said, _ = process.communicate()
        if process.returncode != status or "Traceback" in said:
            raise BenchError(f"`{command}` ended with {process.returncode}, expected {status}:\n{said[-6000:]}")
        return said

    def install(self) -> None:
        """Install the wheels into an environment that has nothing else."""
        self.run(f"uv venv --quiet --python {sys.executable} ../tool")
        self.run("uv pip install --quiet --python ../tool/bin/python pulumi-modelstack localcloud-ml")

    def exchange(self, wheels: str) -> None:
        """Install the wheels of another folder in place of those of both environments."""
        for environment in ("../tool", ".venv"):
            self.run(
                f"uv pip install --quiet --no-deps --reinstall --python {environment}/bin/python ../{wheels}/*.whl"
            )

    def changes(self) -> tuple[list[str], list[str]]:
        """What an update would change: functions of which only the code differs, and all other resources."""
        preview = json.loads(self.run("pulumi preview --json --non-interactive 2> /dev/null"))
        functions, others = list[str](), list[str]()
        for step in preview["steps"]:
            if step["op"] != "same":
                code = step["op"] == "update" and f"{_FUNCTION}::" in step["urn"] and {*step["detailedDiff"]} <= _CODE
                (functions if code else others).append(f"{step['op']} {step['urn']}: {step.get('detailedDiff')}")
        return functions, others

    def begin(self) -> None:
        """Write the project into an empty repository, set it up, and start its local cloud."""
        self.run("git init --quiet && modelstack new churn --dir .")
        self.run("python -m localcloud.setup install --packages-only")
        self.run(".venv/bin/localcloud start")
        self.point()

    def point(self) -> None:
        """Point the commands at the project's local cloud, as `eval "$(localcloud env)"` does in a shell."""
        said = self.run('eval "$(.venv/bin/localcloud env)"; env -0')
        exported = (line.partition("=") for line in said.split("\0"))
        self.environment.update({name: value for name, _, value in exported if name})


def wheels(folder: Path, revision: str = "") -> None:
    """Build the wheels of this checkout's packages, or of those of a revision."""
    with TemporaryDirectory(prefix="modelstack-revision-") as name:
        root = _at(revision, Path(name)) if revision else ROOT
        for package in PACKAGES:
            subprocess.run(
                [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
                cwd=root / "packages" / package, check=True, capture_output=True,
            )  # fmt: skip


def _at(revision: str, folder: Path) -> Path:
    """The files of a revision, in a folder: a package has links to docs."""
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", revision], capture_output=True, check=False)
    if packed.returncode:
        raise BenchError(f"no {revision} in {ROOT}, is the clone shallow? `git fetch --unshallow`: {packed.stderr!r}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return folder


@contextmanager
def fresh(folder: Path, port: int, revision: str = "") -> Iterator[Fresh]:
    """The wheels, and an empty folder for a project; at the end its local cloud is stopped.

    The caches of tools and packages are those of this user, so the engine is not built again. No model is in a cache.
    """
    wheels(folder / "wheels", revision)
    places = Places.of(ROOT)
    uv = Installer(places).uv()
    cache = folder / "cache"
    cache.mkdir()
    (cache / "modelstack").symlink_to(places.cache)
    (cache / "uv").symlink_to(places.cache.parent / "uv")
    kept: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    made = Fresh(
        folder,
        {
            **kept,
            "PATH": os.pathsep.join(
                [str(folder / "tool" / "bin"), str(uv.parent), "/usr/local/bin", "/usr/bin", "/bin"]
            ),
            "XDG_CACHE_HOME": str(cache),
            "UV_FIND_LINKS": str(folder / "wheels"),
            "LOCALCLOUD_PORT": str(port),
        },
    )
    made.project.mkdir()
    try:
        yield made
    finally:
        made.run("[ ! -e .venv ] || .venv/bin/localcloud stop")


def rows() -> list[Row]:
    """How long it takes from the wheels to a model that serves, and how much a team then owns."""
    with TemporaryDirectory(prefix="modelstack-new-") as name, fresh(Path(name), free_port()) as made:
        began = time.monotonic()
        made.install()
        made.begin()
        ready = time.monotonic()
        made.run("pulumi stack init local && pulumi up --yes --skip-preview --non-interactive")
        took = time.monotonic() - began
        owned = made.run("git ls-files --others --exclude-standard").split()
        read = [name for name in owned if not name.startswith("requirements/")]
        lines = sum(len((made.project / name).read_text().splitlines()) for name in read)
        (wheel,) = (made.folder / "wheels").glob("pulumi_modelstack-*.whl")
        size = wheel.stat().st_size / 1e6
    return [
        Row("new_project_s", round(took, 1), "s", "<= 90", f"{took - (ready - began):.0f} s of it `pulumi up`"),
        Row("new_project_files", len(owned), "files", "< 20", "kedro new and chalice new-project: about ten"),
        Row("new_project_lines", lines, "lines", "< 300", "without locks"),
        Row("wheel_mb", round(size, 2), "MB", "< 1.5", wheel.name),
    ]


def upgrade_rows() -> list[Row]:
    """What the upgrade of a stack from the previous version's wheels to these changes in it."""
    with TemporaryDirectory(prefix="modelstack-old-") as name, fresh(Path(name), free_port(), PREVIOUS) as made:
        wheels(made.folder / "newer")
        made.install()
        made.begin()
        made.run("pulumi stack init local && pulumi up --yes --skip-preview --non-interactive")
        made.exchange("newer")
        functions, others = made.changes()
    return [
        Row("upgrade_changes", len(others), "resources", "== 0", "; ".join(others) or f"from {PREVIOUS}"),
        Row("upgrade_functions", len(functions), "functions", "", "their code is replaced in place"),
    ]
