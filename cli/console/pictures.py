"""Takes the pictures of docs/how-to/console.md and docs/how-to/mlflow.md: `make pictures`.

Those of the console are of stack `local`, best during a trial; that of MLflow is of what `make pipeline` has built. What
is not up is left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from cli.built.command import STACK as PIPELINE
from cli.console.app import TABS
from cli.console.pages import Pages
from cli.console.serve import Serving
from cli.errors import OperatorError
from cli.local import mlflow_server
from cli.local.cloud import Local
from cli.running import run
from cli.target import LOCAL, ROOT, resolve

FOLDER = ROOT / "docs" / "pictures"
_SIZE = "1280,1250"
_SIZES = {"rollout": "1280,1830"}  # as far as the evidence
_PATHS = {"/": "/?hours=0.25", "/compare": "/compare?hours=0.25"}
_MLFLOW_SIZE = "1640,1000"
_PATIENCE_S = 180


def take(address: str, picture: Path, size: str = _SIZE, *, seconds: int = 0) -> None:
    """Take a picture of one page.

    Args:
        address: The page's.
        picture: Where it goes.
        size: Width and height of the window, pixels.
        seconds: For how long the page may go on loading things, by its own clock.

    Raises:
        OperatorError: There is no Chromium, or it took none.
    """
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
    """Take all pictures."""
    FOLDER.mkdir(exist_ok=True)
    local = Local.here()
    up, mlflow = local.stack_names(), mlflow_server.url(local.places.state / "mlflow")
    if LOCAL not in up and not (mlflow and PIPELINE in up):
        raise OperatorError("there is nothing to take a picture of", "Type `make up`, or `make pipeline`, before.")
    if LOCAL in up:
        with Serving(Pages(resolve(LOCAL)), 0).background() as address:
            for name, path in TABS:
                picture = FOLDER / f"console-{name}.png"
                take(address.rstrip("/") + _PATHS.get(path, path), picture, _SIZES.get(name, _SIZE))
                console.print(str(picture.relative_to(ROOT)))
    if mlflow and PIPELINE in up:
        picture = FOLDER / "mlflow-model.png"
        take(f"{mlflow}/#/models/{resolve(PIPELINE).endpoint}", picture, _MLFLOW_SIZE, seconds=30)
        console.print(str(picture.relative_to(ROOT)))
    return 0


if __name__ == "__main__":
    sys.exit(run(main, stopped="the pictures that were there are kept."))
