"""Which part of the host was asked for, and is there what it needs?

Argv, after the script:
    language [flags] ENGINE_ADDRESS   the language host; the engine puts its own logging flags first
    dynamic [flags] ENGINE_ADDRESS    the provider of dynamic resources
    run ENGINE_ADDRESS                one program, its `RunRequest` on stdin; exit code 0, 1 or 32 (error was shown)
    describe | installed              of this environment, as JSON on stdout: its Python and plugins, or all it holds
"""

import gc
import json
import os
import runpy
import sys
from dataclasses import asdict
from pathlib import Path

from . import environment, lifeline, light

_OBJECTS = 500_000
"""So many new objects before garbage is looked for: what is imported and declared stays until the end."""
_NO_SDK = """\
The Pulumi SDK is not installed in {prefix} ({error}).
Pulumi.yaml names this virtual environment under runtime.options.virtualenv. Install the project's packages into it
(`pulumi install`, or the project's own set-up), or name another one."""


def main(argv: list[str]) -> None:
    """Run the part that `argv` names."""
    gc.set_threshold(_OBJECTS)
    _activate()
    part, address = argv[1], argv[-1]
    # A signal before anything is up is a shutdown like any other: the engine interrupts a plugin to end it.
    try:
        if part == "describe":
            print(json.dumps(asdict(environment.describe())))
        elif part == "installed":
            print(json.dumps(asdict(environment.installed())))
        elif part == "run":
            lifeline.listen()
            light.install()
            from . import program  # noqa: PLC0415  needs the SDK, which may be missing

            sys.exit(program.run_from_stdin(address))
        elif part == "dynamic":
            lifeline.hold()
            light.install()
            _serve_dynamic_resources(argv)
        else:
            lifeline.hold()
            from . import host  # noqa: PLC0415  needs the SDK, which may be missing

            host.serve(address)
    except KeyboardInterrupt:
        lifeline.leave(0)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("grpc", "google", "pulumi"):
            raise
        print(_NO_SDK.format(prefix=sys.prefix, error=error), file=sys.stderr)
        sys.exit(1)


def _activate() -> None:
    """Let processes that the program starts find this environment's commands, as an activated one does."""
    if sys.prefix == sys.base_prefix:
        return
    os.environ["VIRTUAL_ENV"] = sys.prefix
    os.environ.pop("PYTHONHOME", None)
    commands = str(Path(sys.prefix, "bin"))
    path = os.environ.get("PATH", "")
    if path.split(os.pathsep)[0] != commands:
        os.environ["PATH"] = commands + os.pathsep + path


def _serve_dynamic_resources(argv: list[str]) -> None:
    sys.path.insert(0, str(Path.cwd()))  # as `python -m` does: providers are modules of the project
    sys.argv = [argv[0], argv[-1]]
    runpy.run_module("pulumi.dynamic", run_name="__main__", alter_sys=True)
    lifeline.leave(0)
