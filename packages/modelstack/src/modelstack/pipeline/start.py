"""Starts a sealed package as its container does, before it is released: with the libraries of the serving lock alone.

The serving environment is a virtual environment of links to the packages of `requirements/serving.txt` that are
installed here, whose versions the step `data` compares with the lock. So it takes milliseconds and no network, also in
a training job. The server is the container's own command, in a process of its own. It must answer the sealed example.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sysconfig
import time
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from modelstack.pipeline import archive
from modelstack.pipeline.contract import Refusal
from modelstack.pipeline.locks import locked, package_of, to_add
from modelstack.pipeline.pack import SealedPackage
from modelstack.pipeline.project import SOURCES
from modelstack.pipeline.shared_objects import check_system_libraries

SECONDS = 480
"""Until a server must be ready. Source: SageMaker, "How Containers Should Respond to Health Check Requests"."""
_LOCK = "requirements/serving.txt"
_OF_THIS_PROCESS = ("LD_", "MODELSTACK_", "PYTHON", "SAGEMAKER_", "SM_")
"""First letters of variables that would change which files are found, or how the package is served."""
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'")
_PLACE = re.compile(r'File ".*/code/(model/\S+\.py)", line (\d+)')


def check_start(root: Path, sealed: SealedPackage, folder: Path) -> None:
    """Refuse a package that the serving image of `root` could not serve. `folder` is for its files, and empty."""
    site = serving_environment(root, folder / "venv")
    check_system_libraries(root / "requirements", site)
    archive.unpack(sealed.path, folder / "model")
    # Copies: next to what a link leads to is the rest of the library, which the image does not have.
    runtime = folder / "runtime" / "modelstack"
    shutil.copytree(
        SOURCES / "modelstack" / "serving", runtime / "serving", ignore=shutil.ignore_patterns("__pycache__")
    )
    for path in (SOURCES / "modelstack").glob("*.py"):
        shutil.copy(path, runtime)
    if problem := _problem(folder, sealed.manifest_sha256):
        cause = _cause(root, problem, (folder / "log").read_text(errors="replace"))
        raise Refusal(f"the package does not start in the serving image: {cause}")
    print(f"it starts with the libraries of {_LOCK} alone")


def serving_environment(root: Path, folder: Path) -> Path:
    """Make the virtual environment of the serving lock; returns its folder of packages."""
    venv.create(folder, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    for name in locked(root / _LOCK):
        found = metadata.distribution(name)
        for file in found.files or ():
            _link(Path(str(found.locate_file(""))), file.parts, site)
    return site


def _link(installed: Path, parts: Sequence[str], site: Path) -> None:
    """Link the package that a file is in, or the file itself where it is in none: other distributions share folders."""
    places = [Path(*parts[:number]) for number in range(1, len(parts) + 1)]
    one = next((place for place in places if (installed / place / "__init__.py").exists()), places[-1])
    if ".." in parts or not (installed / one).exists() or os.path.lexists(site / one):
        return
    (site / one).parent.mkdir(parents=True, exist_ok=True)
    (site / one).symlink_to(installed / one)


def _problem(folder: Path, manifest_sha256: str) -> str:
    """Why the server of the unpacked package does not start; empty if it does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THIS_PROCESS)} | {
        "PYTHONPATH": str(folder / "runtime"),
        "SM_MODEL_DIR": str(folder / "model"),
        "MODELSTACK_MANIFEST_SHA256": manifest_sha256,
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SAGEMAKER_MODEL_SERVER_WORKERS": "1",
    }
    command = [folder / "venv" / "bin" / "python", "-P", "-m", "modelstack.serving", "serve"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    own = json.loads((folder / "model" / archive.MANIFEST).read_bytes())["server"] == "own"
    try:
        return _until_it_answers(process, port, (folder / "model" / archive.EXAMPLE).read_bytes() if own else None)
    finally:
        process.kill()
        process.wait()


def _until_it_answers(process: subprocess.Popen[bytes], port: int, example: bytes | None) -> str:
    """Why the example has no answer, empty if it has: our runtime answers it itself before it is ready."""
    end = time.monotonic() + SECONDS
    while process.poll() is None:
        if _status(port, "GET", "/ping", None) == 200:
            found = 200 if example is None else _status(port, "POST", "/invocations", example)
            return "" if found == 200 else f"POST /invocations with the sealed example gave {found}, expected 200"
        if time.monotonic() > end:
            return f"GET /ping did not give 200 within {SECONDS} s"
        time.sleep(0.05)
    return f"the server ended with status {process.returncode}"


def _status(port: int, method: str, path: str, body: bytes | None) -> int | str:
    """The status of an answer, or why there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return f"no answer ({error})"
    finally:
        connection.close()


def _cause(root: Path, problem: str, log: str) -> str:
    """The cause of a failed start by the server's log, with what to do."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    places = _PLACE.findall(log)
    where = f"{places[-1][0]}, line {places[-1][1]}" if places else "the sealed model"
    if not (missing := _MISSING.findall(log)):
        return f"{where}: {problem}" + (f": {lines[-1].removeprefix('cannot serve: ')}" if lines else "")
    module = missing[-1].partition(".")[0]
    if module == "modelstack":
        return (
            f"{where} needs {missing[-1]}, and the image has only modelstack.serving and the model: move that code "
            "into model/"
        )
    name = package_of(module, locked(root / "requirements" / "app.txt")) or module
    return (
        f"{where} needs the module {missing[-1]}, which is in no package of {_LOCK}: "
        f"{to_add(root / 'requirements', 'serving', name)}"
    )
