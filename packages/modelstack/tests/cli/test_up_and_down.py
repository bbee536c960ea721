"""`make up` and `make down` on a separate checkout, with everything real. Each test continues the one before."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from bench.bed import import_path
from localcloud.setup import Places, install_plugin, variables
from tests.small import SMALL

ROOT = Path(__file__).resolve().parents[4]
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]
_NOT_COPIED = shutil.ignore_patterns(".venv", ".git", ".modelstack", "__pycache__", ".*_cache", ".hypothesis", "tests")


@dataclass
class Checkout:
    """A copy of this checkout that shares its environment; `stack` is the stack's file before any command."""

    root: Path
    stack: str
    environ: dict[str, str] = field(default_factory=dict)

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [".venv/bin/python", "-m", f"modelstack.cli.local.{command}"],
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        process = self.start(command)
        output, _ = process.communicate()
        return process.returncode, output

    def processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.root) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    """A checkout on which set-up was run and nothing else, with a model that is trained in seconds."""
    root = tmp_path_factory.mktemp("own") / "checkout"
    shutil.copytree(ROOT, root, ignore=_NOT_COPIED)
    stack = root / "stacks" / "Pulumi.local.yaml"
    content = yaml.safe_load(stack.read_text())
    content["config"]["modelstack:model"]["parameters"] |= SMALL
    stack.write_text(yaml.safe_dump(content, sort_keys=False))
    for environment in (".venv", "policy/.venv"):
        (root / environment).symlink_to(ROOT / environment)
    places = Places.of(root)
    places.backend.mkdir(parents=True)
    places.record.write_text(Places.of(ROOT).record.read_text())
    install_plugin(places)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Checkout(
        root, stack.read_text(), {**os.environ, "PYTHONPATH": import_path(root), "LOCALCLOUD_PORT": str(port)}
    )
    yield made
    if made.processes():  # a test failed before the last one
        made.run("down")
    for process in made.processes():
        process.kill()


def test_down_where_nothing_is_up_succeeds(checkout: Checkout) -> None:
    code, output = checkout.run("down")
    assert code == 0, output


def test_a_port_that_is_taken_is_named_with_the_way_out(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setitem(checkout.environ, "LOCALCLOUD_PORT", str(port))
        code, output = checkout.run("up")
    assert code == 1
    assert str(port) in output and "LOCALCLOUD_PORT=" in output
    assert "Traceback" not in output


def test_an_update_that_was_killed_is_finished_by_the_next(checkout: Checkout) -> None:
    process = checkout.start("up")
    seen = []
    for line in process.stdout:
        seen.append(line)
        if "sagemaker Model" in line:
            break
    for child in psutil.Process(process.pid).children(recursive=True):
        if child.name() == "pulumi":
            child.kill()
    process.kill()
    process.wait()
    assert any("sagemaker Model" in line for line in seen), "".join(seen)
    code, output = checkout.run("up")
    assert code == 0, output
    assert "was cut off" in output
    for part in ("InService", "champion", "log_loss", "flight-delay-local", "100%", "processes", "make down"):
        assert part in output, output
    code, output = checkout.run("up")
    assert code == 0, output
    assert "nothing to do" in output


def test_a_stack_whose_update_was_killed_is_taken_down_whole(checkout: Checkout) -> None:
    del checkout.environ["LOCALCLOUD_PORT"]  # of the shell that `up` was typed in
    code, output = checkout.run("down")
    assert code == 0, output
    assert "local cloud: stopped" in output
    assert [process for process in checkout.processes() if process.is_running()] == []
    environ = {**checkout.environ, **variables(Places.of(checkout.root))}
    listed = subprocess.check_output(["pulumi", "stack", "ls", "--json"], cwd=checkout.root, env=environ, text=True)
    assert json.loads(listed) == []
    assert (checkout.root / "stacks" / "Pulumi.local.yaml").read_text() == checkout.stack
