"""What a handler costs before it does anything: import time beyond boto3's own, and size."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.rows import Row
from modelstack.pipeline.project import SOURCES
from modelstack.program.aws.lambda_zip import seal

HANDLERS = ("rollback", "advance", "drift", "labels")
_REPEATS = 7
_TIME = """
import time
import {after}
begun = time.perf_counter()
import {module}
print(time.perf_counter() - begun)
"""


def handlers() -> list[Row]:
    """Each handler from the very zip that is deployed, in a fresh interpreter."""
    with _deployed() as (zipped, code):
        spent = {handler: _import_ms(code, handler) for handler in HANDLERS}
        boto3 = _timed(code, "boto3", after="json")
        each = ", ".join(f"{handler} {value:.0f}" for handler, value in spent.items())
        size = round(zipped.stat().st_size / 1000, 1)
    return [
        Row("lambda_import_ms", round(max(spent.values()), 1), "ms", "<= 200", f"{each}; boto3 itself {boto3:.0f}"),
        Row("lambda_zip_kb", size, "kB", "<= 1024", "one zip for all handlers"),
    ]


def import_ms(handler: str) -> float:
    """Milliseconds of one handler's import beyond boto3's own, from the zip that is deployed."""
    with _deployed() as (_, code):
        return _import_ms(code, handler)


@contextmanager
def _deployed() -> Iterator[tuple[Path, Path]]:
    """The zip, and a folder with what is in it."""
    with tempfile.TemporaryDirectory() as name:
        zipped, code = seal(SOURCES, Path(name)).path, Path(name) / "code"
        with zipfile.ZipFile(zipped) as content:
            content.extractall(code)
        yield zipped, code


def _import_ms(code: Path, handler: str) -> float:
    return _timed(code, f"modelstack.platforms.aws.handlers.{handler}", after="boto3, botocore.session")


def _timed(code: Path, module: str, after: str) -> float:
    program = [sys.executable, "-B", "-c", _TIME.format(module=module, after=after)]
    runs = [float(subprocess.check_output(program, cwd=code, text=True)) for _ in range(_REPEATS)]
    return 1000 * statistics.median(runs)
