"""`make image`: build what serves and what trains, without a network, push both to a stack's registry, by digest.

python -m cli.local.image                        # into the local stack's registry
python -m cli.local.image --stack dev            # into that of dev, on AWS
python -m cli.local.image --context FOLDER       # only lay the build contexts out, for any other builder
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import boto3
import click
from rich.console import Console

from cli.command import tell
from cli.errors import OperatorError, explained
from cli.local.cloud import Local
from cli.local.container import Engine, base_image, image_tag, lay_out, lay_out_training, python_of
from cli.local.stack import Stack
from cli.local.wheels import wheels
from cli.target import LOCAL, ROOT

NO_ENGINE_HINT = (
    "Start one; on Debian: `apt-get install docker.io`, then `dockerd` as root. "
    "Without one, the local stack runs the same entry point as a process."
)


@dataclass(frozen=True)
class Kind:
    """An image of this project.

    Attributes:
        name: What it does; also the lock of its libraries.
        lay_out: Puts what it is built from into a folder.
        suffix: What its tags end with.
        setting: The config field that names it.
        word: Begins the line with its name.
    """

    name: str
    lay_out: Callable[[Path, Path, Path], None]
    suffix: str
    setting: str
    word: str


SERVING = Kind("serving", lay_out, "", "modelstack:serving.image", "image")
TRAINING = Kind("training", lay_out_training, "-train", "modelstack:retraining.image", "train")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--stack", default="local", show_default=True, help="The stack whose registry takes the image.")
@click.option("--repository", default=None, help="URI of the repository, instead of the stack's.")
@click.option(
    "--base-image", default=None, help="Base image with Python 3.11 and venv; by default Debian's, made here."
)
@click.option(
    "--context",
    type=click.Path(path_type=Path, file_okay=False),
    help="Only write the build contexts into this folder.",
)
def main(stack: str, repository: str | None, base_image: str | None, context: Path | None) -> None:
    """Build the images that serve and that train, push them, and say how a stack takes them."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        if context is not None:
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            for kind in (SERVING, TRAINING):
                kind.lay_out(ROOT, wheels(ROOT, kind.name, version, console.print), context / kind.name)
                console.print(
                    f"context: {context / kind.name}; build it with `docker build {context / kind.name}`", markup=False
                )
            return
        build_and_push(stack, repository, base_image, console)
    except OperatorError as error:
        tell(console, error)
        sys.exit(error.exit_code)


def build_and_push(stack: str, repository: str | None, base: str | None, console: Console) -> None:
    """Build, push, and print what to type next.

    Raises:
        OperatorError: There is no engine, or a step of it failed; the message says which.
    """
    engine = Engine.find(NO_ENGINE_HINT)
    if stack.startswith(LOCAL):
        Local.here()
    uri = repository or _repository_of(stack)
    base = base or base_image(engine, console.print)
    named = {kind: push(engine, *build(engine, kind, base, console), uri, console) for kind in (SERVING, TRAINING)}
    for kind, name in named.items():
        console.print(f"{kind.word}  {name}", markup=False)
    console.print("next", markup=False)
    for kind, name in named.items():
        console.print(f"       pulumi config set --stack {stack} --path {kind.setting} {name}", markup=False)
    console.print(f"       pulumi up --stack {stack}", markup=False)


def build(engine: Engine, kind: Kind, base: str, console: Console) -> tuple[str, str]:
    """Build an image, unless the engine has it.

    Returns:
        What the engine calls it, and its tag.
    """
    with TemporaryDirectory(prefix="modelstack-image-") as folder:
        kind.lay_out(ROOT, wheels(ROOT, kind.name, python_of(engine, base), console.print), Path(folder))
        tag = image_tag(Path(folder), engine.image_id(base))
        built = f"modelstack-{kind.name}:{tag}"
        if not engine.image_id(built):
            console.print(f"building {built} on {base}, with no network")
            engine.build(Path(folder), built, base)
    return built, f"{tag}{kind.suffix}"


def push(engine: Engine, built: str, tag: str, repository: str, console: Console) -> str:
    """Push an image to a repository of ECR, or of the local cloud that AWS_ENDPOINT_URL names.

    Returns:
        `<repository>@sha256:<digest>`.
    """
    registry, _, name = repository.partition("/")
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    host = endpoint.partition("://")[2].rstrip("/") or registry
    with explained(f"logging in to {host}"):
        ecr = boto3.client("ecr", region_name=region_of(registry))
        token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    console.print(f"pushing to {host}/{name}")
    engine.push(built, f"{host}/{name}:{tag}", host, user, password)
    with explained(f"looking up {repository}:{tag}"):
        found = ecr.describe_images(repositoryName=name, imageIds=[{"imageTag": tag}])
    return f"{repository}@{found['imageDetails'][0]['imageDigest']}"


def region_of(registry: str) -> str | None:
    """The region that a registry of ECR is in, by its name; None, the session's, when the name does not tell."""
    found = re.fullmatch(r"\d+\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", registry)
    return found[1] if found else None


def _repository_of(stack: str) -> str:
    uri = Stack(stack).outputs().get("container_repository")
    if not uri:
        raise OperatorError(
            f"stack {stack} has no output `container_repository` yet",
            "For the local stack: `make up`. For another, `pulumi up` makes its registry first.",
        )
    return str(uri)


if __name__ == "__main__":
    main()
