"""A bed to measure on: a local cloud and a Pulumi backend of its own, in a temporary folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from bench import ROOT
from localcloud import process
from localcloud.setup import Places, applied
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.target import Target
from modelstack.pipeline.project import SOURCES


class BenchError(Exception):
    """A scenario could not be measured; the text is what the failing part said."""


@dataclass(frozen=True)
class Bed:
    """Where a scenario runs.

    Attributes:
        folder: Temporary; gone when the bed is.
        environment: What points every client at this bed.
        stack: The stack `local` of this program, in the bed's own backend.
    """

    folder: Path
    environment: dict[str, str]
    stack: Stack

    @property
    def cloud(self) -> Path:
        """The state folder of the local cloud."""
        return self.folder / "cloud"

    @property
    def pid(self) -> int:
        """Process id of the local cloud."""
        running = process.find(self.cloud)
        if running is None:
            raise BenchError("the local cloud does not run")
        return running.pid

    def target(self) -> Target:
        """The stack's endpoint."""
        outputs = self.stack.outputs()
        return Target("local", outputs["endpoint_name"], outputs["region"], outputs)


def must(done: Done, doing: str) -> Done:
    """The command, when it succeeded.

    Raises:
        BenchError: It did not.
    """
    if done.code != 0:
        raise BenchError(f"{doing} failed:\n{done.output[-3000:]}")
    return done


def import_path(root: Path = ROOT) -> str:
    """`PYTHONPATH` for the program of a checkout, with the library that runs here: environments may be shared."""
    return os.pathsep.join(map(str, (root, SOURCES)))


@contextmanager
def bed(root: Path = ROOT, **variables: str) -> Iterator[Bed]:
    """Start a local cloud on a free port with an initialised, empty stack `local`; end all of it afterwards.

    Args:
        root: The checkout whose program and model the stack is of; its environment is this checkout's.
        variables: More that everything here has in its environment, or has otherwise.
    """
    places = Places.of(ROOT)
    with TemporaryDirectory(prefix="modelstack-bench-") as name:
        folder = Path(name)
        (folder / "pulumi").mkdir()
        port = _free_port()
        environment = {
            **applied(places),
            "PULUMI_BACKEND_URL": (folder / "pulumi").as_uri(),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            **process.keys(folder / "cloud"),
            **variables,
        }
        with patch.dict(os.environ, environment, clear=True):
            try:
                process.start(
                    folder / "cloud", port, process.find_python(ROOT), root / "localcloud.toml", lambda text: None
                )
                stack = Stack("local", {**environment, "PYTHONPATH": import_path(root)}, root)
                must(stack.pulumi("stack", "init", "local"), "pulumi stack init")
                yield Bed(folder, environment, stack)
            finally:
                process.stop(folder / "cloud", lambda text: None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
