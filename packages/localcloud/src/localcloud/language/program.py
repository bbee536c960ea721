"""How does one program run? As `python <program>` would, with the engine's monitor to register resources with."""

import asyncio
import contextlib
import logging
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pulumi
import pulumi.runtime
from pulumi.runtime.proto import language_pb2

from . import SHOWN, light
from .engine import Engine


def run(request: language_pb2.RunRequest, engine: str) -> language_pb2.RunResponse:
    """Run a program to its end, in this thread.

    Returns:
        Empty when it succeeded. `bail` when its error went to the engine's log already; `error` when the program only
        set an exit code.

    Raises:
        KeyboardInterrupt: The engine cancelled it.
    """
    path = Path(request.pwd or ".", request.info.entry_point or request.program or ".").absolute()
    connection = Engine.at(engine)
    light.read_types_once()
    _configure(request, connection)
    sys.argv = [str(path), *request.args]
    # A program's own folder stays importable after its main file has ended: applies may import late.
    sys.path.insert(0, str(path if path.is_dir() else path.parent))
    if request.pwd:
        os.chdir(request.pwd)
    if path.is_dir() and not (path / "__main__.py").exists():
        return _refused(f"There is no program at {path}: expected a file __main__.py in this folder.")
    try:
        return _run(path, max(request.parallel, 1) * 4)
    finally:
        connection.flush()


def run_from_stdin(engine: str) -> int:
    """Run the program of the `RunRequest` on stdin and return the process's exit code."""
    response = run(language_pb2.RunRequest.FromString(sys.stdin.buffer.read()), engine)
    if response.error:
        print(response.error, file=sys.stderr)
    return SHOWN if response.bail else int(bool(response.error))


def _configure(request: language_pb2.RunRequest, engine: Engine) -> None:
    pulumi.runtime.set_all_config(dict(request.config), list(request.configSecretKeys))
    pulumi.runtime.configure(
        pulumi.runtime.Settings(
            project=request.project,
            stack=request.stack,
            monitor=request.monitor_address,
            engine=engine,
            parallel=request.parallel,
            dry_run=request.dryRun,
            organization=request.organization or "organization",
            root_directory=request.info.root_directory or request.pwd,
        )
    )


def _run(path: Path, threads: int) -> language_pb2.RunResponse:
    # Resources that failed leave futures which nobody awaits any more; that is how the SDK works, not news for users.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=threads))
    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(lambda: _execute(path)))
        return language_pb2.RunResponse()
    except pulumi.RunError as error:
        return _refused(str(error))
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        return language_pb2.RunResponse(error=f"Program exited with non-zero exit code: {code}" if code else "")
    except grpc.RpcError as error:
        # The engine has stopped listening: the update was cancelled, or a resource failed. It says so itself.
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return language_pb2.RunResponse(bail=True)
        return _refused(_failure(path))
    except Exception:
        return _refused(_failure(path))
    finally:
        _close(loop)


def _execute(path: Path) -> None:
    runpy.run_path(str(path), run_name="__main__")


def _failure(path: Path) -> str:
    """Describe the current exception, from the program's own first line on."""
    main = str(path / "__main__.py" if path.is_dir() else path)
    kind, error, trace = sys.exc_info()
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename != main:
        frame = frame.tb_next
    lines = traceback.format_exception(kind, error, frame or trace)
    return "Program failed with an unhandled exception:\n" + "".join(lines)


def _refused(message: str) -> language_pb2.RunResponse:
    with contextlib.suppress(grpc.RpcError):
        pulumi.log.error(message)
    return language_pb2.RunResponse(bail=True)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
        # Each may end in anything but an interrupt, which is for this process; the run's own outcome stands already.
        with contextlib.suppress(Exception, asyncio.CancelledError, SystemExit):
            loop.run_until_complete(task)
    loop.close()
    sys.stdout.flush()
    sys.stderr.flush()
