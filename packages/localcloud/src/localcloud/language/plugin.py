"""How does a Python plugin run? As a process in its own environment, its output streamed to the engine."""

import queue
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import grpc

from .protocol import language_pb2

_PATIENCE_S = 3.0
_CHUNK = 65536


def run(
    python: str, request: language_pb2.RunPluginRequest, context: grpc.ServicerContext
) -> Iterator[language_pb2.RunPluginResponse]:
    """Run a provider, or a policy pack (kind `analyzer`), until it ends or the engine lets go of the stream.

    Yields:
        Chunks of its stdout and stderr, and its exit code at last if it is not 0.
    """
    folder = request.info.program_directory
    if request.kind == "analyzer":
        command = [python, "-u", "-m", "pulumi.policy", *request.args, folder]
    else:
        command = [python, "-u", folder, *request.args]
    environment = dict(entry.split("=", 1) for entry in request.env if "=" in entry)
    process = subprocess.Popen(
        command,
        cwd=request.pwd or None,
        env=environment or None,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    context.add_callback(lambda: _end(process))
    try:
        yield from _output(process)
    finally:
        _end(process)
    if process.returncode:
        yield language_pb2.RunPluginResponse(exitcode=process.returncode)


def _output(process: subprocess.Popen[bytes]) -> Iterator[language_pb2.RunPluginResponse]:
    chunks: queue.SimpleQueue[language_pb2.RunPluginResponse | None] = queue.SimpleQueue()

    def pump(name: str, stream: Any) -> None:
        while stream is not None and (chunk := stream.read1(_CHUNK)):
            chunks.put(language_pb2.RunPluginResponse(**{name: chunk}))
        chunks.put(None)

    streams = {"stdout": process.stdout, "stderr": process.stderr}
    for item in streams.items():
        threading.Thread(target=pump, args=item, daemon=True).start()
    open_streams = len(streams)
    while open_streams:
        chunk = chunks.get()
        if chunk is None:
            open_streams -= 1
        else:
            yield chunk
    process.wait()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
