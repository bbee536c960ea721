"""How does an image become something that runs: a container where an engine answers, else a process?"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from localcloud.server.platform import ImageCommand, Platform

_URI = re.compile(
    r"^(?P<registry>[^/]+)/(?P<repository>[^@:]+)(?::(?P<tag>[^@]+))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
_ECR = re.compile(r"^\d{12}\.dkr\.ecr(?:-fips)?\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/")
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The one kind of manifest that SageMaker takes."""
_SERVE = "serve"
TRAIN, PROCESS = "train", "process"
"""What an image may be asked to do in a job."""
# SageMaker trains on machines of their own; here endpoints that serve on the same one go first.
_YIELDING = 5
_MOMENT = 2.0  # seconds for which an engine is taken to answer as it did
CONTAINER_LABEL = "localcloud.sagemaker.state"


class ImageUnusable(Exception):
    """An image can be run neither way; the text is for a FailureReason."""


@dataclass(frozen=True)
class Program:
    """What to start for one instance or job.

    Attributes:
        arguments: Program and arguments.
        environment: Complete environment.
        folder: Working directory.
        clean_up: A command that removes what a killed program leaves behind, or None.
        niceness: How much it yields to other programs, 0 to 19.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    clean_up: tuple[str, ...] | None = None
    niceness: int = 0


@dataclass(frozen=True)
class Image:
    """An image that can be run.

    Attributes:
        resolved: The image by digest when it runs as a container; as named when it runs as a process.
        process: The process that stands for it, or None when it runs as a container.
        pulled: The name under which the engine has it.
    """

    resolved: str
    process: ImageCommand | None = None
    pulled: str = ""

    def program(self, instance: str, model: Path, environment: Mapping[str, str], labels: Mapping[str, str]) -> Program:
        """The program of one instance.

        Args:
            instance: Id of the instance.
            model: Folder of the unpacked archive.
            environment: Variables for the program; for a process, complete but for those of its configuration.
            labels: Labels of a container.
        """
        if self.process is not None:
            command = self.process.command
            arguments = command if command[-1:] == (_SERVE,) else (*command, _SERVE)
            environment = {**self.process.environment, **environment, "SM_MODEL_DIR": str(model)}
            return Program(arguments, environment, self.process.folder)
        options = _options({"/opt/ml/model:ro": model}, {**environment, "SM_MODEL_DIR": "/opt/ml/model"}, labels)
        return self._container(instance, model, options, (_SERVE,), environment)

    def job(
        self,
        verb: str,
        folder: Path,
        asked: Mapping[str, Any],
        *,
        name: str,
        environment: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> Program:
        """The program of a job: its own entry point, or else what the image has for the verb.

        A process finds no `/opt/ml`: where a word of its command or a variable names a path in there, it is given the
        folder's path instead.

        Args:
            verb: `TRAIN` or `PROCESS`.
            folder: Stands for `/opt/ml`; `OPT_ML` tells a process of it.
            asked: The job's AlgorithmSpecification or AppSpecification, which may name another entry point than the
                image's own, and arguments.
            name: Of the container.
            environment: Variables for the program; for a process, complete but for those of its configuration.
            labels: Labels of a container.

        Raises:
            ImageUnusable: It runs as a process, and neither the job nor its configuration names a program.
        """
        entry_point = tuple(asked.get("ContainerEntrypoint", ()))
        arguments = tuple(asked.get("ContainerArguments", ()))
        if self.process is None:
            if verb == TRAIN and not entry_point:
                arguments = arguments or (TRAIN,)
            options = ["--cpu-shares=256", *_options({"/opt/ml": folder}, environment, labels)]
            options += [f"--entrypoint={program}" for program in entry_point[:1]]
            return self._container(name, folder, options, (*entry_point[1:], *arguments), environment)
        command = entry_point or {TRAIN: self.process.train, PROCESS: self.process.process}[verb]
        if not command:
            raise ImageUnusable(
                f"Image {self.resolved} cannot be run: it is not in the local registry or no container engine answers, "
                f"the job names no ContainerEntrypoint, and the entry of repository {self.process.repository!r} in the "
                f"configuration has no `{verb}` command."
            )
        variables = {**self.process.environment, **environment}
        variables = {variable: _of_the_machine(value, folder) for variable, value in variables.items()}
        path = os.pathsep.join([*self.process.path, variables.get("PATH", os.defpath)])
        return Program(
            tuple(_of_the_machine(word, folder) for word in (*command, *arguments)),
            {**variables, "OPT_ML": str(folder), "PATH": path},
            self.process.folder,
            niceness=_YIELDING,
        )

    def _container(
        self,
        instance: str,
        folder: Path,
        options: Iterable[str],
        arguments: Iterable[str],
        environment: Mapping[str, str],
    ) -> Program:
        name = f"localcloud-sagemaker-{instance}"
        command = (
            *("docker", "run", "--rm", "--network=host", f"--name={name}", *options),
            # On the machine's own network: an image that reads this listens where only this machine can reach it.
            "--env=BIND_HOST=127.0.0.1",
            self.pulled,
            *arguments,
        )
        # The engine's client has the server's own environment: it may say where the engine is.
        secrets = {key: value for key, value in environment.items() if key in _SECRETS}
        return Program(command, {**os.environ, **secrets}, folder, ("docker", "rm", "--force", name))


_IN_OPT_ML = re.compile(r"(?<![\w./-])/opt/ml/")


def _of_the_machine(text: str, folder: Path) -> str:
    """A text with the folder's path where it names a path in `/opt/ml`."""
    return _IN_OPT_ML.sub(lambda _: f"{folder}/", text)


# A container has its own; only a process needs the machine's.
_HOST_VARIABLES = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ"}
# Every user of the machine can read a command line: the client takes these from its own environment.
_SECRETS = {"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}


def _options(mounts: Mapping[str, Path], environment: Mapping[str, str], labels: Mapping[str, str]) -> Iterator[str]:
    yield from (f"--volume={folder}:{inside}" for inside, folder in mounts.items())
    for key, value in environment.items():
        if key not in _HOST_VARIABLES:
            yield f"--env={key}" if key in _SECRETS else f"--env={key}={value}"
    yield from (f"--label={key}={value}" for key, value in labels.items())


@dataclass
class Images:
    """Finds out how images run on this machine.

    Args:
        platform: Names the commands that stand for images, and the cloud whose registry has the images.
        ecr: Answers a boto3 ECR client; blocks.
        docker_config: A folder for the engine client's own settings, so that the user's are left alone.
    """

    platform: Platform
    ecr: Callable[[], Any]
    docker_config: Path
    _pulls: asyncio.Lock = field(default_factory=asyncio.Lock)
    _answers: bool = False
    _known_until: float = 0

    async def resolve(self, uri: str) -> Image:
        """Find out how an image runs now.

        Raises:
            ImageUnusable: It is not in the local registry (or no engine answers), and no process stands for it.
        """
        named = _URI.match(uri)
        repository = named["repository"] if named else uri
        digest = await asyncio.to_thread(self._digest, named) if named and await self.engine_answers() else None
        if named and digest:
            return await self._pull(named["registry"], repository, digest)
        process = self.platform.image_command(repository)
        if process is not None:
            return Image(uri, process)
        known = ", ".join(repr(image.repository) for image in self.platform.images) or "none"
        raise ImageUnusable(
            f"Image {uri} cannot be run: it is not in the local registry or no container engine answers, and no "
            f"process is configured for repository {repository!r} (configured: {known})."
        )

    async def knows(self, uri: str) -> bool:
        """Whether an image is in the local registry, or a process stands for it."""
        named = _URI.match(uri)
        repository = named["repository"] if named else uri
        if self.platform.image_command(repository) is not None:
            return True
        if named is None or not of_ecr(uri) or f".{self.platform.region}." not in named["registry"]:
            return False
        return await asyncio.to_thread(self._digest, named) is not None

    async def engine_answers(self) -> bool:
        """Whether a Docker engine is there, or was a moment ago: the steps of a pipeline ask one after another."""
        if not shutil.which("docker"):
            return False
        if time.monotonic() >= self._known_until:
            self._answers = (await _run("docker", "info", "--format={{.ID}}"))[0] == 0
            self._known_until = time.monotonic() + _MOMENT
        return self._answers

    def refused(self, uri: str) -> str | None:
        """The media type of an image's manifest, if SageMaker takes none of that type; blocks.

        None where it does, and of an image that is not in the local registry.
        """
        named = _URI.match(uri)
        found = self._described(named) if named else None
        kind = found.get("imageManifestMediaType", _MANIFEST) if found else _MANIFEST
        return None if kind == _MANIFEST else kind

    def _digest(self, named: re.Match[str]) -> str | None:
        found = self._described(named)
        return found["imageDigest"] if found else None

    def _described(self, named: re.Match[str]) -> dict[str, Any] | None:
        wanted = {"imageDigest": named["digest"]} if named["digest"] else {"imageTag": named["tag"] or "latest"}
        owner = self._other_account(named["registry"])
        whose = {"registryId": owner} if owner else {}
        try:
            found = self.ecr().describe_images(repositoryName=named["repository"], imageIds=[wanted], **whose)
        except (ClientError, BotoCoreError):
            return None
        # Where AWS says ImageNotFoundException, the registry here may answer with an empty list.
        return found["imageDetails"][0] if found["imageDetails"] else None

    async def _pull(self, registry: str, repository: str, digest: str) -> Image:
        local = self.platform.endpoint_url.split("://", 1)[1]
        owner = self._other_account(registry)
        name = f"{local}/{owner}/{repository}@{digest}" if owner else f"{local}/{repository}@{digest}"
        async with self._pulls:
            token = await asyncio.to_thread(self._token)
            config = f"--config={self.docker_config}"
            status, output = await _run(
                *("docker", config, "login", "--username=AWS", "--password-stdin", local), given=token.encode()
            )
            if status == 0:
                status, output = await _run("docker", config, "pull", "--quiet", name)
        if status != 0:
            raise ImageUnusable(
                f"Image {registry}/{repository}@{digest} cannot be pulled from {local}: {output.strip()}"
            )
        return Image(f"{registry}/{repository}@{digest}", pulled=name)

    def _other_account(self, registry: str) -> str:
        """The account of a registry, if it is another than this one; else empty."""
        account = registry.partition(".")[0]
        return account if of_ecr(f"{registry}/") and account != self.platform.account else ""

    def _token(self) -> str:
        data = self.ecr().get_authorization_token()["authorizationData"][0]["authorizationToken"]
        return base64.b64decode(data).decode().partition(":")[2]


def of_ecr(uri: str) -> bool:
    """Whether an image is one of Amazon ECR, by its name."""
    return _ECR.match(uri) is not None


def region_of(uri: str) -> str:
    """The region of an image in ECR; empty for any other."""
    named = _ECR.match(uri)
    return named["region"] if named else ""


async def remove_containers(state: str) -> None:
    """Remove containers that a killed server of this state left behind."""
    if shutil.which("docker"):
        status, ids = await _run("docker", "ps", "--all", "--quiet", f"--filter=label={CONTAINER_LABEL}={state}")
        if status == 0 and ids.split():
            await _run("docker", "rm", "--force", *ids.split())


async def _run(*command: str, given: bytes | None = None) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE if given is not None else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(given)
    return process.returncode or 0, output.decode(errors="replace")
