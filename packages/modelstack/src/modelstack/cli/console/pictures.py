"""Takes the screenshots of the docs: `make pictures`.

Those of the console show stack `local`, best during a trial. Where MLflow runs, it takes the model of that stack and
the run of `make pipeline` too. What is not running is skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from rich.console import Console

from modelstack.cli.console.app import TABS
from modelstack.cli.console.pages import Pages
from modelstack.cli.console.serve import ConsoleServer
from modelstack.cli.error_handling import run
from modelstack.cli.errors import OperatorError
from modelstack.cli.local import mlflow_server
from modelstack.cli.local.cloud import Local
from modelstack.cli.target import LOCAL, project_root, resolve
from modelstack.records.tracking.api import opened
from modelstack.records.tracking.connection import MlflowError, bearer

FOLDER = project_root() / "docs" / "pictures"
_PIPELINE = "local-pipeline"
"""The stack of `make pipeline`."""
_SIZE = "1280,1250"
_SIZES = {"rollout": "1280,1830"}  # as far as the evidence
_PATHS = {"/": "/?hours=0.25", "/compare": "/compare?hours=0.25"}
_MLFLOW_SIZE = "2000,1150"
_RUN = "experiments/{experiment_id}/runs/{run_id}"
_MLFLOW_SECONDS = 10.0
_PATIENCE_S = 180


def take(address: str, picture: Path, size: str = _SIZE, *, seconds: int = 0) -> None:
    """Save a screenshot of one page; `size` is in pixels, `seconds` lets it load for so long by its own clock."""
    binary = shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        raise OperatorError("chromium is not on PATH", "On Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as profile:
        flags = ["--headless=new", "--no-sandbox", "--hide-scrollbars", f"--user-data-dir={profile}"]
        flags += [f"--virtual-time-budget={seconds * 1000}"] if seconds else []
        wanted = [f"--window-size={size}", f"--screenshot={picture}", address]
        done = subprocess.run(
            [binary, *flags, *wanted], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    if done.returncode or not picture.is_file():
        raise OperatorError(f"chromium took no picture of {address}: {done.stderr.strip()[-300:]}")


def main(console: Console) -> int:
    """Take all pictures that are possible."""
    FOLDER.mkdir(exist_ok=True)
    local = Local.here()
    up, mlflow = local.stack_names(), mlflow_server.url(local.places.state / "mlflow")
    taken = [*(_of_console() if LOCAL in up else ()), *(_of_mlflow(mlflow, up) if mlflow else ())]
    for name in taken:
        console.print(str((FOLDER / name).relative_to(project_root())), markup=False)
    if not taken:
        hint = "Type `make up` or `make pipeline` before. MLflow knows a champion two minutes after it serves."
        raise OperatorError("there is nothing to take a picture of", hint)
    return 0


def _of_console() -> Iterator[str]:
    with ConsoleServer(Pages(resolve(LOCAL)), 0).background() as address:
        for name, path in TABS:
            take(address.rstrip("/") + _PATHS.get(path, path), FOLDER / f"console-{name}.png", _SIZES.get(name, _SIZE))
            yield f"console-{name}.png"


def _of_mlflow(server: str, up: Collection[str]) -> Iterator[str]:
    pages = {LOCAL: ("mlflow-model.png", "models/{model}"), _PIPELINE: ("mlflow-run.png", _RUN)}
    for stack, (name, page) in pages.items():
        model = resolve(stack).endpoint if stack in up else ""
        if model and (run := _champions_run(server, model)):
            take(f"{server}/#/{page.format(model=model, **run)}", FOLDER / name, _MLFLOW_SIZE, seconds=30)
            yield name


def _champions_run(server: str, model: str) -> Mapping[str, str]:
    try:
        with opened(server, bearer(os.environ), _MLFLOW_SECONDS) as api:
            asked = {"run_id": api.by_alias(model, "champion").run_id}
            return api.connection.call("GET", "runs/get", query=asked)["run"]["info"]
    except MlflowError:
        return {}


if __name__ == "__main__":
    sys.exit(run(main, stopped="the pictures that were there are kept."))
