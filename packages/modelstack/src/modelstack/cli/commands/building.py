"""Commands on the pipeline that makes packages: pipeline show, pipeline compile."""

from __future__ import annotations

from pathlib import Path

import click

from modelstack.cli.errors import OperatorError
from modelstack.cli.page import give, say
from modelstack.cli.target_options import Command, TargetOptions


@click.group()
def pipeline() -> None:
    """The steps that make a package, wherever they run."""


@pipeline.command()
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write a picture into this file."
)
def show(svg: Path | None) -> None:
    """Show each step: what it follows, takes and gives, when it runs, and what it may cost.

    What stands in brackets may lack. A step that is kept by what it is made of runs only if that has changed. All is
    read from `modelstack/pipeline/steps.py`, where a step is added in one line.
    """
    from modelstack.pipeline.steps import PIPELINE  # noqa: PLC0415 - only this command needs it

    if svg is None:
        from modelstack.cli.flow.text import drawn  # noqa: PLC0415

        say(drawn(PIPELINE))
        return
    from modelstack.cli.flow.picture import drawn as picture  # noqa: PLC0415

    try:
        svg.write_text(picture(PIPELINE), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{svg}: {error.strerror}", "Name a file in a folder that you may write to.", 2) from None
    say(f"{svg}")


@pipeline.command(cls=Command)
@click.option("--engine", type=click.Choice(["kubeflow"]), required=True, help="Kubeflow Pipelines: kubeflow.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there, not to standard output.")
@click.option(
    "--image",
    default="",
    help="The image that trains, NAME@sha256:DIGEST. The default is the stack's retraining.image.",
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    metavar="NAME=ADDRESS",
    help="A folder that the pipeline takes: code, raw_data or champion; code=s3://bucket/code. May be repeated.",
)
@click.option(
    "--set",
    "texts",
    multiple=True,
    metavar="NAME=TEXT",
    help="What a run takes for a text of the pipeline, such as place, unless it is given another. May be repeated.",
)
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="VARIABLE=SECRET/KEY|/FOLDER=SECRET",
    help="A value of a Secret of Kubernetes, or all as files, for sign and register alone. May be repeated.",
)
@click.pass_obj
def compile(  # noqa: PLR0917 - one parameter per option
    asked: TargetOptions | None,
    engine: str,
    out: Path | None,
    image: str,
    folders: tuple[str, ...],
    texts: tuple[str, ...],
    secrets: tuple[str, ...],
) -> None:
    """Write the pipeline of a stack for an engine that runs it elsewhere; for Kubeflow Pipelines, IR YAML 2.1.0.

    Each step is a container of the image that trains. Parameters, gates, name and image come from the stack's file, and
    each can be given another value when a run is started. The same checkout gives the same bytes.

    Nothing is started, and no network is used. See docs/how-to/kubeflow.md.
    """
    from modelstack.cli import compiling  # noqa: PLC0415 - only this command needs it
    from modelstack.cli.local.stack import Stack  # noqa: PLC0415

    asked = asked or TargetOptions()
    if asked.endpoint:
        raise OperatorError("a pipeline is that of a stack: give --stack, not --endpoint", exit_code=2)
    given = compiling.CompileInputs.typed(image, texts, folders, secrets)
    written = {"kubeflow": compiling.kubeflow}[engine](Stack(asked.stack), given)
    if "code" not in given.folders:
        say("The image has to hold model/, which that of `make image` does not: give --folder code=ADDRESS.", err=True)
    if asked_of_runs := compiling.asked_of_runs(given):
        say(f"Each run has to be given {' and '.join(asked_of_runs)}: no --set gives it beforehand.", err=True)
    if out is None:
        give(written.rstrip("\n"))
    else:
        try:
            out.write_text(written)
        except OSError as error:
            raise OperatorError(f"--out {out}: {error.strerror}; expected a file to write", exit_code=2) from None
        say(f"wrote {out}", err=True)
