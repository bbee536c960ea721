"""Built by Kubeflow's own SDK: the compiled pipeline, each step in a container of this machine's Docker engine.

    image = image_of(repository, console)              # the image that trains, built and pushed if need be
    found = digests(stack, image, texts, environment, progress)

What is run is what `modelstack pipeline compile` writes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from demos import ROOT
from demos.builds.digest_comparison import PACKAGE
from localcloud.setup import Installer, Places, SetupFailed, cached
from modelstack.cli.compiling import CompileInputs, kubeflow
from modelstack.cli.errors import OperatorError
from modelstack.cli.local.container import Engine, base_image
from modelstack.cli.local.image import START_ENGINE, TRAINING, Repository, published
from modelstack.cli.local.stack import Stack
from modelstack.pipeline import outcome
from modelstack.pipeline.engines.kubeflow import refused, task
from modelstack.pipeline.engines.kubeflow_task import refusal
from modelstack.pipeline.pack import SEALED, sealed_in
from modelstack.pipeline.recipe import model_files
from modelstack.pipeline.steps import PIPELINE

RUNNER = Path(__file__).with_name("kubeflow_runner.py")
_KEYS = ("AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
_FAILED = "the pipeline failed under Kubeflow's SDK"
_LABEL = "modelstack.run"
"""Of a container: the run that it is of."""
_LAST = 15  # lines that are shown of a run that failed
_COLOUR = re.compile(r"\x1b\[\d*m")
_BEGINS, _ENDS = re.compile(r"Executing task '([^']+)'"), re.compile(r"Task '[^']+' finished with status")
_OF_THE_SDK = ("Found image ", "Pulling image ", "Image pull complete")


class NoEngine(OperatorError):
    """There is no Docker engine to run a container."""


def engine() -> Engine:
    """The Docker engine.

    Raises:
        NoEngine: There is none.
    """
    try:
        return Engine.find(START_ENGINE)
    except OperatorError as error:
        raise NoEngine(str(error), error.hint) from None


def python() -> Path:
    """The Python of the SDK's environment, which is made if need be.

    Raises:
        OperatorError: It cannot be made.
    """
    places = Places.of(ROOT)
    try:
        return cached(places, Installer(places), places.lock("kubeflow")) / "bin" / "python"
    except SetupFailed as error:
        raise OperatorError(str(error), " ".join(error.advice)) from error


def image_of(repository: str, console: Console) -> str:
    """The image that trains, as this machine's engine knows it: `<host>/<name>@sha256:<digest>`.

    Raises:
        NoEngine: There is none.
        OperatorError: A step of it failed.
    """
    docker = engine()
    base = base_image(docker, lambda text: console.print(f"  {text}", markup=False))
    named = published(docker, TRAINING, base, Repository.at(repository), console)
    return re.sub("^[^/]+", os.environ["AWS_ENDPOINT_URL"].partition("://")[2].rstrip("/"), named)


def keys(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables by which a container acts in the cloud that this process's environment points at."""
    return {name: environ[name] for name in _KEYS if name in environ}


def digests(
    stack: Stack,
    image: str,
    texts: Mapping[str, str],
    environment: Mapping[str, str],
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Run the pipeline of a stack, and give step -> digest of its outcome, and that of the package.

    Args:
        stack: Whose file names the model.
        image: The image that trains.
        texts: What the run is given: name -> text.
        environment: The variables of each container.
        progress: Called with a line for each step.

    Raises:
        OperatorError: A step refused or failed; the message has its last lines.
    """
    with TemporaryDirectory(prefix="modelstack-kubeflow-") as name:
        folder, file = Path(name, "root"), Path(name, "pipeline.yaml")
        _lay_out(folder / "code")
        file.write_text(kubeflow(stack, CompileInputs(image, texts, {"code": str(folder / "code")})))
        said = run(file, folder, {}, environment, progress)
        left = {outcome.read(path.parent).step: path.parent for path in folder.rglob(outcome.RECORD)}
        check_all_ran(left, said)
        if not said.succeeded:
            raise OperatorError(f"{_FAILED}:{_indented(said.lines)}")
        made = {one.name: outcome.verified(left[one.name], one.name).digest for one in PIPELINE.order() if one.cached}
        package = next(sealed_in(left[one.name]).digest for one in PIPELINE.steps if SEALED in one.gives)
    return {**made, PACKAGE: package}


@dataclass
class Said:
    """What the SDK says of a run.

    Attributes:
        lines: All that it printed.
        of: Task -> what its containers printed.
        succeeded: Whether it takes the run for one that did well.
    """

    lines: list[str] = field(default_factory=list[str])
    of: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    succeeded: bool = False
    _task: str = ""

    def hear(self, line: str) -> str:
        """Take in the next line; gives the task that begins with it, or an empty string."""
        text = _COLOUR.sub("", line.rstrip())
        self.lines.append(text)
        begins = _BEGINS.search(text)
        if begins or _ENDS.search(text):
            self._task = begins[1] if begins else ""
        elif self._task and text.strip() and not text.strip().startswith(_OF_THE_SDK) and "Streamed logs:" not in text:
            self.of.setdefault(self._task, []).append(text.strip())
        return begins[1] if begins else ""


def check_all_ran(left: Mapping[str, Path], said: Said) -> None:
    """Refuse a run in which a step did not do its work.

    The SDK does not always know: it asks for a container's status when Docker may have removed the container, and takes
    one that is not there for one that did well. What a step leaves is there only when it did.

    Args:
        left: Step -> the folder of its outcome.
        said: What the SDK says.

    Raises:
        OperatorError: A step has left none; the message names it and has its last lines, or what the verdict says.
    """
    for one in PIPELINE.order():
        if one.name not in left:
            name, verdict = task(one.name), one.only_if
            lines = said.of.get(name) or ([] if said.succeeded else said.lines[-1:])
            told = f"{name} failed, and has left no outcome{_indented(lines)}"
            if verdict in left and (why := refusal(left[verdict], verdict)):
                told = f"{refused(verdict)}: {why}"
            raise OperatorError(f"{_FAILED}: {told}")


def _indented(lines: list[str]) -> str:
    return "".join(f"\n  {line}" for line in lines[-_LAST:])


def run(
    file: Path,
    folder: Path,
    arguments: Mapping[str, str],
    environment: Mapping[str, str],
    progress: Callable[[str], None],
) -> Said:
    """Run a compiled pipeline; outcomes are left below a folder, and no container is left running, whatever happens.

    Args:
        file: The pipeline.
        folder: Takes what the steps make, and holds the folders that they take from outside.
        arguments: Of the run: name -> text.
        environment: The variables of each container.
        progress: Called with a line for each step that begins.
    """
    settings = {
        "network_mode": "host",
        "environment": dict(environment),
        "user": f"{os.getuid()}:{os.getgid()}",
        "labels": {_LABEL: folder.parent.name},
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("KF_", "PYTHON"))}
    said, says = Said(), {task(one.name): one.says for one in PIPELINE.steps}
    try:
        with subprocess.Popen(
            [python(), RUNNER, file, folder],
            env={**inherited, "TMPDIR": str(folder.parent)},  # the SDK leaves a folder there when it is killed
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that a Ctrl-C is ours alone: the SDK would end, and leave its container behind
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            try:
                process.stdin.write(json.dumps({"arguments": dict(arguments), "settings": settings}))
                process.stdin.close()
                for line in process.stdout:
                    if (begins := said.hear(line)) in says:
                        progress(f"{begins}: {says[begins]}")
            except BaseException:
                process.kill()  # it would go on to the next step, and to `register`
                process.wait()  # after a Ctrl-C, Popen itself waits for a quarter of a second only
                raise
    finally:
        _end_containers(f"{_LABEL}={folder.parent.name}")
    said.succeeded = process.returncode == 0
    return said


def _end_containers(label: str) -> None:
    docker = Engine()
    with suppress(OperatorError):
        if found := docker.run("ps", "--all", "--quiet", "--filter", f"label={label}").split():
            docker.run("rm", "--force", *found)


def _lay_out(folder: Path) -> None:
    """Copy the model's code there, as it is taken from a store."""
    for name, path in model_files(ROOT).items():
        to = folder / name
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
