"""A stack as a person at a terminal uses it: the `modelstack` command, at once or in the background.

session = Session(stack)
session.status()["champion"]
with session.background("replay", "--rate", "25", "--json") as lines:
    session.stack.up()
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from demos import ROOT
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.stack import Done, Stack
from modelstack.cli.signals import terminate


@dataclass(frozen=True)
class Session:
    """A shell on one stack.

    Attributes:
        stack: The stack; its commands sign with the keys in its environment.
    """

    stack: Stack

    def modelstack(self, *words: str, keys: Mapping[str, str] | None = None) -> Done:
        """Run `modelstack --stack STACK WORDS`, with these keys or the stack's own."""
        done = subprocess.run(
            self._command(words),
            cwd=ROOT,
            env={**os.environ, **(self.stack.environment if keys is None else keys)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if "--json" not in words else None,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def read(self, *words: str) -> dict[str, Any]:
        """What `modelstack WORDS --json` prints.

        Raises:
            OperatorError: It failed.
        """
        answer = json.loads(self.modelstack(*words, "--json").output)
        if "error" in answer:
            raise OperatorError(answer["error"], answer["hint"])
        return answer

    def status(self) -> dict[str, Any]:
        """What `modelstack status` knows."""
        return self.read("status")

    def has_released(self, recipe: str) -> bool:
        """Whether the audit record knows a release of a recipe, by its digest."""
        return recipe[:12] in self.modelstack("audit", "export").output

    @contextmanager
    def background(self, *words: str, on_line: Callable[[str], None] | None = None) -> Iterator[list[str]]:
        """Run a command until the block ends, and stop it as Ctrl-C does; yields the growing list of what it prints."""
        lines: list[str] = []
        process = subprocess.Popen(
            self._command(words),
            cwd=ROOT,
            env={**os.environ, **self.stack.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            process_group=0,  # a terminal's Ctrl-C reaches us only, and we pass it on
        )

        def read() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if on_line is not None:
                    on_line(lines[-1])

        reader = threading.Thread(target=read, name=words[0], daemon=True)
        reader.start()
        try:
            yield lines
        finally:
            terminate(process)
            reader.join()

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "modelstack.cli.main", "--stack", self.stack.name, *words]
