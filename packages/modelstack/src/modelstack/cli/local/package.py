"""`modelstack serve FILE`: serves a sealed package on a port, without a cloud."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import IO

from modelstack.cli.errors import OperatorError
from modelstack.pipeline import archive


def serve(path: Path, port: int, workers: int) -> int:
    """Serve a package until Ctrl-C; returns the server's exit status. OperatorError if it is not as it was sealed."""
    try:
        manifest = archive.verify(path)
        with TemporaryDirectory(prefix="modelstack-serve-") as folder:
            archive.unpack(path, Path(folder) / "model")
            return _waited(begun(Path(folder) / "model", manifest.sha256, port, workers))
    except archive.ArchiveError as error:
        raise OperatorError(
            str(error), "`python -m modelstack.pipeline build` makes a package, and prints where it is."
        ) from error
    except OSError as error:
        raise OperatorError(f"{path} cannot be read: {error.strerror or error}", exit_code=2) from error


def begun(sealed: Path, manifest_sha256: str, port: int, workers: int = 1, log: IO[str] | None = None) -> Popen[bytes]:
    """Start a server for a verified, unpacked archive; `log` takes its output."""
    environment = {
        **os.environ,
        "SM_MODEL_DIR": str(sealed),
        "MODELSTACK_MANIFEST_SHA256": manifest_sha256,
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
        "BIND_HOST": "127.0.0.1",
    }
    command = [sys.executable, "-m", "modelstack.serving", "serve"]
    return Popen(command, env=environment, stdout=log, stderr=log)


def _waited(process: Popen[bytes]) -> int:
    """Wait for the server; a Ctrl-C reaches it too, and it finishes open requests before it ends."""
    earlier = signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    try:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, earlier)
