"""A Pulumi CLI with this checkout's language host beside it, and small projects to run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from pulumi.runtime.proto import language_pb2_grpc

from localcloud.language import bundle
from localcloud.setup import shell
from localcloud.setup.places import Places

ROOT = Path(sys.prefix).parent
"""The checkout whose environment runs the tests."""


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a CLI with our host, built from these sources, and nothing else beside it."""
    folder = tmp_path_factory.mktemp("cli") / "bin"
    folder.mkdir()
    pulumi = (shell.engine(Places.here()) / "pulumi").resolve()
    try:
        os.link(pulumi, folder / "pulumi")
    except OSError:
        shutil.copy(pulumi, folder / "pulumi")
    bundle.install(folder)
    return folder


@dataclass
class Project:
    """One project with a stack of its own backend."""

    folder: Path
    cli: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, **files: str) -> None:
        """Write modules; `main` is the program."""
        for name, text in files.items():
            (self.folder / ("__main__.py" if name == "main" else f"{name}.py")).write_text(text)

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Start `pulumi WORDS`, both streams in one."""
        return subprocess.Popen(
            [str(self.cli / "pulumi"), *words, "--non-interactive", "--color", "never"],
            cwd=self.folder,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *words: str) -> tuple[int, str]:
        """Run `pulumi WORDS` to its end: exit code and output."""
        process = self.start(*words)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def must(self, *words: str) -> str:
        """Run what has to succeed, and return its output."""
        code, output = self.run(*words)
        assert code == 0, output
        return output

    def outputs(self, *words: str) -> dict[str, Any]:
        """The stack's outputs."""
        return json.loads(self.must("stack", "output", "--json", *words))


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory, cli: Path) -> Path:
    """A folder with a project, its backend and its home, whose stack `test` was never updated."""
    top = tmp_path_factory.mktemp("begun")
    made = project_in(top, cli)
    for folder in (made.folder, top / "state"):
        folder.mkdir()
    (made.folder / "Pulumi.yaml").write_text(yaml_for(ROOT / ".venv"))
    made.must("stack", "init", "test")
    return top


@pytest.fixture
def project(tmp_path: Path, begun: Path, cli: Path) -> Project:
    """A project in this checkout's environment, with a stack `test` that was never updated."""
    shutil.copytree(begun, tmp_path, dirs_exist_ok=True)
    return project_in(tmp_path, cli)


def project_in(top: Path, cli: Path) -> Project:
    """The project of a folder."""
    environ = {
        "PATH": f"{cli}:{os.environ['PATH']}",
        "PULUMI_HOME": str(top / "home"),
        "PULUMI_STACK": "test",
        "PULUMI_BACKEND_URL": (top / "state").as_uri(),
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }
    return Project(top / "project", cli, environ)


def yaml_for(venv: Path) -> str:
    """A Pulumi.yaml that names a virtual environment."""
    return f"name: sample\nruntime:\n  name: python\n  options:\n    virtualenv: {venv}\n"


@dataclass
class Host:
    """A language host as the engine starts it."""

    process: subprocess.Popen[bytes]
    stub: language_pb2_grpc.LanguageRuntimeStub


@pytest.fixture
def start_host(cli: Path, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """Starts hosts without an engine; all have ended when the test has."""
    (tmp_path / "Pulumi.yaml").write_text(yaml_for(ROOT / ".venv"))
    started: list[subprocess.Popen[bytes]] = []

    @contextmanager
    def start(name: str = bundle.NAMES[0], before: Callable[[], None] | None = None) -> Iterator[Host]:
        process = subprocess.Popen(
            [str(cli / name), "127.0.0.1:1"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=before,  # noqa: PLW1509  the child needs its signals set as a shell sets them
        )
        started.append(process)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Host(process, language_pb2_grpc.LanguageRuntimeStub(channel))

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


if sys.platform != "linux":  # the signal tests read /proc
    collect_ignore = ["test_endings.py"]
