"""What a handler costs before it does anything: import time beyond boto3's own, and size."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from bench.rows import Row
from cli.target import ROOT
from infra.aws.lambda_zip import seal

HANDLERS = ("rollback", "advance", "drift", "labels", "probe")
_REPEATS = 7
_TIME = """
import sys, time
import boto3, botocore.session
begun = time.perf_counter()
import {module}
print(time.perf_counter() - begun)
"""


def handlers() -> list[Row]:
    """Each handler from the very zip that is deployed, in a fresh interpreter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        zipped = seal(ROOT, folder).path
        with zipfile.ZipFile(zipped) as content:
            content.extractall(folder / "code")
        spent = {handler: _import_ms(folder / "code", f"platforms.aws.handlers.{handler}") for handler in HANDLERS}
        boto3 = _import_ms(folder / "code", "json", first="boto3")
        worst = max(spent.values())
        each = ", ".join(f"{handler} {value:.0f}" for handler, value in spent.items())
        return [
            Row("lambda_import_ms", round(worst, 1), "ms", "<= 200", f"{each}; boto3 itself {boto3:.0f}"),
            Row("lambda_zip_kb", round(zipped.stat().st_size / 1000, 1), "kB", "<= 1024", "one zip for all handlers"),
        ]


def import_ms(handler: str) -> float:
    """Milliseconds of one handler's import beyond boto3's own, from the zip that is deployed."""
    with tempfile.TemporaryDirectory() as name:
        with zipfile.ZipFile(seal(ROOT, Path(name)).path) as content:
            content.extractall(Path(name) / "code")
        return _import_ms(Path(name) / "code", f"platforms.aws.handlers.{handler}")


def _import_ms(code: Path, module: str, first: str = "") -> float:
    program = _TIME.format(module=module)
    if first:
        program = f"import time\nbegun = time.perf_counter()\nimport {first}\nprint(time.perf_counter() - begun)\n"
    runs = [
        float(
            subprocess.run(
                [sys.executable, "-B", "-c", program], cwd=code, capture_output=True, text=True, check=True
            ).stdout
        )
        for _ in range(_REPEATS)
    ]
    return 1000 * statistics.median(runs)
