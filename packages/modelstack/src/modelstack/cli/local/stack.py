"""A Pulumi stack: runs the CLI in a given environment and reads outputs and config."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from modelstack.cli.errors import UNKNOWN, OperatorError
from modelstack.cli.local.yaml_file import Malformed, read
from modelstack.cli.signals import terminate
from modelstack.cli.target import project_root


@dataclass(frozen=True)
class Done:
    """Exit code and output of a command."""

    code: int
    output: str

    @property
    def error(self) -> str:
        """The text after the first `error:`; without one, the last line."""
        lines = [line.strip() for line in self.output.splitlines() if line.strip()]
        said = [line.partition("error:")[2].strip() for line in lines if "error:" in line]
        return said[0] if said else (lines or ["no output"])[-1]


@dataclass(frozen=True)
class Stack:
    """One stack of this program; `root` is the folder of Pulumi.yaml.

    Attributes:
        environment: Added to the process's environment for every command.
        config: The config file; None for `Pulumi.<stack>.yaml`.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    root: Path = field(default_factory=project_root)
    config: Path | None = None

    def pulumi(self, *words: str, on_line: Callable[[str], None] | None = None) -> Done:
        """Run `pulumi WORDS` in this stack, and pass each line of both streams to `on_line`.

        A KeyboardInterrupt is raised again after the CLI and its processes have ended.
        """
        env = {**os.environ, **self.environment}
        try:
            process = subprocess.Popen(
                ["pulumi", *words, "--non-interactive", "--color", "never"],
                cwd=self.root,
                env=env,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                process_group=0,  # a terminal's Ctrl-C reaches us only, and we pass it on
            )
        except FileNotFoundError as error:
            raise OperatorError(
                "the pulumi command is not on PATH", 'Run `make setup`, then: eval "$(make -s env)"', UNKNOWN
            ) from error
        lines: list[str] = []
        assert process.stdout is not None  # noqa: S101 - asked for above
        with process, process.stdout:
            try:
                for line in process.stdout:
                    lines.append(line)
                    if on_line is not None:
                        on_line(line.rstrip("\n"))
                process.wait()
            except BaseException:
                # What it still says is read by nobody, but must not block it.
                threading.Thread(target=process.stdout.read, name="rest", daemon=True).start()
                terminate(process)
                raise
        return Done(process.returncode, "".join(lines))

    def up(self, *, on_line: Callable[[str], None] | None = None) -> Done:
        """`pulumi up` without questions."""
        return self.pulumi("up", "--yes", "--stack", self.name, *self.options(), on_line=on_line)

    def preview(self, *words: str) -> Done:
        """`pulumi preview`."""
        return self.pulumi("preview", "--stack", self.name, *self.options(), *words)

    def outputs(self) -> dict[str, Any]:
        """The stack's outputs; OperatorError if there is no such stack."""
        done = self.pulumi("stack", "output", "--json", "--stack", self.name)
        if done.code != 0:
            raise OperatorError(f"stack {self.name}: {done.error}")
        return json.loads(done.output)

    def options(self) -> tuple[str, ...]:
        """Options for the config file; empty for the default one."""
        return ("--config-file", str(self.config)) if self.config else ()

    def with_parameters(self, folder: Path, **parameters: Any) -> Stack:
        """The same stack with other model parameters, in a copy of its config file in `folder`."""
        content, own = self._content()
        own.update(parameters)
        handle, name = tempfile.mkstemp(prefix=f"Pulumi.{self.name}.", suffix=".yaml", dir=folder)
        with os.fdopen(handle, "w") as copy:
            yaml.safe_dump(content, copy, sort_keys=False)
        return replace(self, config=Path(name))

    def parameters(self) -> dict[str, Any]:
        """The model parameters in the stack's config file."""
        return self._content()[1]

    def _content(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The content of the config file, and the model parameters within it."""
        content = self.written()
        inner = content
        for key in ("config", "modelstack:model", "parameters"):
            inner[key] = inner.get(key) or {}
            inner = inner[key]
        return content, inner

    def written(self) -> dict[str, Any]:
        """The content of the stack's config file, empty without one; Malformed if it is wrong."""
        path = self.config or self.root / "stacks" / f"Pulumi.{self.name}.yaml"
        content = (read(path) if path.exists() else None) or {}
        outer = content
        for key in ("", "config", "modelstack:model", "parameters"):
            outer = (outer.get(key) if key else outer) or {}
            if not isinstance(outer, dict):
                name = key or "the whole file"
                raise Malformed(f"{path.name}: {name} is {outer!r}, and is to hold fields, each as `name: value`")
        return content
