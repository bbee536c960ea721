"""Commands that need no endpoint: serve, loadtest, model init."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from modelstack.cli.errors import OperatorError
from modelstack.cli.options import Number, Whole, as_json_option
from modelstack.cli.page import say
from modelstack.cli.platform.choose import platform_of
from modelstack.cli.target import project_root
from modelstack.cli.target_options import Command, TargetOptions, find

if TYPE_CHECKING:
    from modelstack.cli.init.new_model import NewModel

_HERE = "http://127.0.0.1:8080"


@click.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option(
    "--port", type=Whole(1, 65535), default=8080, show_default=True, help="Listen here, on this machine only."
)
@click.option("--workers", type=Whole(1, 64), default=1, show_default=True, help="Processes that predict.")
def serve(package: Path, port: int, workers: int) -> None:
    """Serve the sealed package PACKAGE on a port, without a cloud, until Ctrl-C.

    It is verified first, and answers as a container does: `/invocations`, `/v2/models/model/infer`, `/metrics`. Any
    package that was built here can be served: `python -m modelstack.pipeline build` prints where it is.
    """
    from modelstack.cli.local import package as packages  # noqa: PLC0415 - only this command needs it

    sys.exit(int(packages.serve(package, port, workers) != 0))


@click.command(cls=Command)
@click.argument("body", type=click.File("rb"))
@click.option("--url", default=None, help=f"The server. The default is {_HERE}, or the endpoint of the stack.")
@click.option(
    "--rate",
    type=Number(0, 100_000),
    default=0.0,
    help="Requests a second, at even times. 0, the default, is as fast as they are answered.",
)
@click.option("--for", "seconds", type=Number(0.1, 3600), default=10.0, show_default=True, help="Seconds of load.")
@click.option("--connections", type=Whole(1, 1000), default=8, show_default=True, help="Connections at once.")
@click.option("--content-type", default="application/json", show_default=True, help="What BODY is.")
@as_json_option
@click.pass_obj
def loadtest(  # noqa: PLR0917 - one parameter per option
    asked: TargetOptions,
    body: BinaryIO,
    url: str | None,
    rate: float,
    seconds: float,
    connections: int,
    content_type: str,
    as_json: bool,
) -> None:
    """Send the request BODY (`-` is standard input) again and again, and show latency by percentile.

    Where --stack or --endpoint is given, the requests go to that endpoint, as those of `invoke` do: on AWS they are
    signed, and on Kubernetes they go through the gateway. They count for its alarms and for a trial.

    With --rate, a latency counts from when its request was due, so that one that waits behind a slow one counts too.

    Exits with 1 when a request was not answered with 200, and shows the first reason for each other status.
    """
    from modelstack.cli import loadtest as load  # noqa: PLC0415 - only this command needs it

    wanted, host, verify, sign = load.Load(rate, seconds, connections), "", True, None
    if url is None and asked.was_named:
        platform = platform_of(find(asked))
        (url, host, verify), sign = platform.url(), platform.headers
    found = load.run(load.LoadTarget.of(url or _HERE, content_type, host, verify, sign), body.read(), wanted)
    if as_json:
        say(json.dumps(load.as_dict(found)))
    else:
        say("\n".join([*load.summed_up(found, wanted), "", *load.plotted(found)]))
    sys.exit(0 if set(found.statuses) == {200} and not found.unanswered else 1)


class Logged(click.Path):
    """A file, or the name of a model in MLflow."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See click."""
        return value if str(value).startswith("models:/") else super().convert(value, param, ctx)


@click.command()
@click.argument("name")
@click.argument("table", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option(
    "--platform", type=click.Choice(["aws", "kubernetes"]), default="aws", show_default=True, help="Where it runs."
)
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path),
    default=None,
    help="The folder: new, or with nothing but .git and .venv. The default is NAME.",
)
@click.option(
    "--from",
    "given",
    type=Logged(path_type=Path, dir_okay=False, exists=True),
    default=None,
    metavar="FILE",
    help="A fitted estimator, with its CSV file as TABLE, or an ONNX file, as of `modelstack model init`. By default "
    "the model is an example.",
)
@click.option("--label", default=None, help="With --from: the column with the true answers.")
@click.option("--time", "at", default=None, help="With --from: the column with the time of each row.")
@click.option("--id", "row", default=None, help="With --from: the column with a name for each row.")
def new(  # noqa: PLR0917 - one parameter per option
    name: str,
    table: Path | None,
    platform: str,
    folder: Path | None,
    given: Path | str | None,
    label: str | None,
    at: str | None,
    row: str | None,
) -> None:
    """Write a project with a model into a new folder: fewer than 20 files, all your own.

    It runs with nothing but the installed library. Its README.md says what to type next.

    With --from, the model is built from the estimator before anything is written, as by `modelstack model init`. It is
    unpickled, which runs what is in it: give only what you trust.
    """
    from modelstack.cli.init import project  # noqa: PLC0415 - only this command needs it

    to = Path(name) if folder is None else folder
    project.check(name, to)
    if given is None:
        if found := _Inputs("", table, label, at, row).of_the_table:
            raise click.UsageError(f"{found[0]} goes with --from")
        files = project.create(project.Project(name, platform), to, project.add_example)
        say(f"written to {to}: {', '.join(files)}\n\nthen read {to / 'README.md'}")
        return
    inputs = _Inputs(given, table, label, at, row)
    inputs.check()
    try:
        from modelstack.cli.init import installed, report  # noqa: PLC0415 - it loads scikit-learn
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"--from needs {error.name}, which is not installed here", 'Type: pip install "pulumi-modelstack[training]"'
        ) from error
    written: list[str] = []
    begun = project.Project(name, platform)

    def add(root: Path) -> Mapping[str, str]:
        made = inputs.write(root, partial(installed.fit, begun, root, say=partial(say, err=True)))
        written.append(report.written(made))
        return report.gates(made.sealed.metrics)

    project.create(begun, to, add)
    say(f"{written[0]}\n\nthen read {to / 'README.md'}")


_TABLES = {".csv", ".parquet", ".tsv", ".xlsx"}


@dataclass(frozen=True)
class _Inputs:
    """What a model is made of: an estimator with its table and columns of it, or an ONNX file."""

    given: Path | str
    table: Path | None
    label: str | None
    time: str | None
    row: str | None
    argument: str = "--from"

    @property
    def of_the_table(self) -> list[str]:
        """The options that go with a table and were given."""
        given = {"TABLE": self.table, "--label": self.label, "--time": self.time, "--id": self.row}
        return [option for option, value in given.items() if value is not None]

    def check(self) -> None:
        """Refuse a table as the estimator, an ONNX file with a table, and an estimator without one."""
        found = self.of_the_table
        if isinstance(self.given, Path) and self.given.suffix.lower() in _TABLES:
            raise click.UsageError(
                f"{self.argument}: found the table {self.given}; expected a fitted estimator, as joblib.dump, "
                "pickle.dump or skops.io.dump wrote it, or an ONNX file, FILE.onnx. The table comes after it, as TABLE"
            )
        if isinstance(self.given, Path) and self.given.suffix == ".onnx":
            if found:
                raise click.UsageError(f"{self.given} is an ONNX file, which takes no {found[0]}")
        elif missing := [one for one in ("TABLE", "--label") if one not in found]:
            raise click.UsageError(
                f"{self.given} needs {' and '.join(missing)}: a CSV file with rows, and its column with the true "
                "answers. Only an ONNX file, FILE.onnx, needs neither"
            )

    def write(self, root: Path, prepare: Callable[[Path], None] | None = None) -> NewModel:
        """Write the model into a project, after `check`; `prepare` gets a folder with the model before it is built."""
        from modelstack.cli.init import new_model  # noqa: PLC0415 - it loads scikit-learn

        progress = partial(say, err=True)
        if self.table is None or self.label is None:
            return new_model.init_onnx(root, Path(self.given), progress, prepare)
        with _file_of(self.given, progress) as path:
            inputs = new_model.ModelInputs(path, self.table, self.label, self.time, self.row)
            return new_model.init(root, inputs, progress, prepare)


@click.group()
def model() -> None:
    """Start a model of your own."""


@model.command("init")
@click.argument("file", type=Logged(path_type=Path, dir_okay=False, exists=True))
@click.argument("table", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option("--label", default=None, help="The column with the true answers.")
@click.option(
    "--time", "at", default=None, help="The column with the time of each row, in ISO 8601; UTC without a zone."
)
@click.option("--id", "row", default=None, help="The column with a name for each row, another one for each.")
def init(file: Path | str, table: Path | None, label: str | None, at: str | None, row: str | None) -> None:
    """Write the files of `model/` from a fitted estimator and its CSV file TABLE, or from an ONNX file, and build them.

    An estimator is a classifier or regressor of scikit-learn, a pipeline or a search that ends in one, written by
    joblib.dump; or models:/NAME@ALIAS or models:/NAME/VERSION of the MLflow server that MLFLOW_TRACKING_URI names. It
    is unpickled, which runs what is in it: give only what you trust. The other columns of TABLE are the features. TABLE
    is copied into `data/`.

    An ONNX file, FILE.onnx, needs no TABLE: its inputs are the features, and it is served as it is.

    An estimator is stored in `model/` with its parameters, not fitted: each training fits it again. The model is built
    first: trained, evaluated and sealed, as `python -m modelstack.pipeline build` does. Only then are the files
    written, and never over a model: `model/` must hold no file. At the end it prints what to type next, and what each
    further part of a model would buy.
    """
    inputs = _Inputs(file, table, label, at, row, "argument FILE")
    inputs.check()
    from modelstack.cli.init import report  # noqa: PLC0415 - only this command needs it

    root = project_root()
    say(report.render(inputs.write(root), root))


def _file_of(estimator: Path | str, progress: Callable[[str], None]) -> AbstractContextManager[Path]:
    """An estimator's file, downloaded if it is in MLflow."""
    if isinstance(estimator, Path):
        return nullcontext(estimator)
    from modelstack.cli.init.mlflow_model import fetched  # noqa: PLC0415 - only what MLflow has needs it

    return fetched(estimator, progress)
