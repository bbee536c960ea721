"""Compiler of the pipeline to Kubeflow Pipelines: IR YAML 2.1.0 from the declaration, the same bytes each time.

Each step is a container of the training image, started by `modelstack.pipeline.engines.kubeflow_task`. Its outcome is
an artifact of its name, a folder; output parameters hold its digest and whether a verdict passed.

Kubeflow's cache identifies the input artifacts of a task by name only. So each step also takes the digest of each input
outcome as a parameter: the cache then only hits on the same content, and the step refuses an exchanged outcome. The
digest of a folder from outside is unknown before a step has read it, so a step that takes one and no outcome is never
cached.

A step that waits for a verdict (`only_if`) has it as a condition. The task `<step>-refused` has the opposite condition,
prints the reason and fails, so that the run fails.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from modelstack.pipeline.engines.kubeflow_task import DIGEST, PASSED, REFUSED
from modelstack.pipeline.forms import Form, not_allowed, one_of
from modelstack.pipeline.steps import VERDICT, Input, Pipeline, Resources, Step
from modelstack.pipeline.texts import wrong

SCHEMA = "2.1.0"
COMMAND = ("python", "-m", "modelstack.pipeline.engines.kubeflow_task")
IMPORTED = "artifact"
"""The name of an importer's output."""
BACKOFF = {"backoffDuration": "10s", "backoffFactor": 2.0, "backoffMaxDuration": "600s"}
_NAME = Form("[a-z0-9][a-z0-9-]{0,127}", "small letters, digits and -, at most 128")
_IMAGE = Form(
    r"[a-z0-9][^\s@/]*(/[^\s@/]+)*@sha256:[0-9a-f]{64}",
    "NAME@sha256:<64 hexadecimal digits>, so that each run has the same",
)
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KEY = re.compile("[A-Za-z0-9._-]{1,253}")
_FOLDER = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)+")
_ADDRESS = Form(
    r"(s3|gs|minio)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[^\s/]+)*/?|(/[^\s/]+)+/?",
    "s3://BUCKET/KEY, gs://BUCKET/KEY or minio://BUCKET/KEY, where BUCKET has 3 to 63 small letters, digits and ._-, a "
    "letter or digit first and last, and KEY no blank and no //; or under kfp.local a path in the container, /FOLDER",
)
Json = dict[str, Any]


class SiteError(ValueError):
    """The pipeline cannot run with these settings; the message has a line for each problem."""


@dataclass(frozen=True)
class Secret:
    """A Kubernetes Secret; `key` selects one value, and if empty all of them, as files of a folder."""

    name: str
    key: str = ""


@dataclass(frozen=True)
class KubeflowSite:
    """The settings of a pipeline on Kubeflow.

    Attributes:
        texts: Input -> default text of a run; others have the default of the declaration.
        folders: Input -> address of the folder, such as `s3://bucket/code`; without one the folder is not used.
        secrets: Variable -> its value, or folder -> its files; only for steps that change something outside.
    """

    name: str
    image: str
    texts: Mapping[str, str] = field(default_factory=dict[str, str])
    folders: Mapping[str, str] = field(default_factory=dict[str, str])
    secrets: Mapping[str, Secret] = field(default_factory=dict[str, Secret])


def compiled(pipeline: Pipeline, site: KubeflowSite) -> str:
    """The pipeline's IR as YAML and, if it takes secrets, a second document for Kubernetes."""
    if found := list(problems(pipeline, site)):
        raise SiteError("\n".join(found))
    documents = [_spec(pipeline, site), *([_needs(pipeline, site)] if site.secrets else [])]
    return yaml.safe_dump_all(documents, sort_keys=True, width=10_000, default_flow_style=False)


def problems(pipeline: Pipeline, site: KubeflowSite) -> Iterator[str]:
    """Unknown names and unusable values, a line for each."""
    if not _NAME.fits(site.name):
        yield not_allowed("name", site.name, _NAME.words)
    if not site.image:
        yield f"image: missing; expected {_IMAGE.words}"
    elif not _IMAGE.fits(site.image):
        yield not_allowed("image", site.image, _IMAGE.words)
    inputs = {kind: [one.name for one in pipeline.inputs if one.kind == kind] for kind in ("text", "folder")}
    for kind, given in (("text", site.texts), ("folder", site.folders)):
        for name in sorted(given.keys() - set(inputs[kind])):
            yield f"there is no {kind} {name!r}; expected one of {one_of(name, inputs[kind])}"
    yield from wrong([one for one in pipeline.inputs if one.name in site.texts], site.texts, site.folders)
    for name, uri in site.folders.items():
        if name in inputs["folder"] and not _ADDRESS.fits(uri):
            yield not_allowed(f"folder {name}", uri, _ADDRESS.words)
    for place, one in site.secrets.items():
        variable = _VARIABLE.fullmatch(place) and _KEY.fullmatch(one.key)
        if not (_SECRET.fullmatch(one.name) and (variable or (_FOLDER.fullmatch(place) and not one.key))):
            said = f"{place}={one.name}" + (f"/{one.key}" if one.key else "")
            yield f"secret {said} is not allowed: expected VARIABLE=SECRET/KEY or /FOLDER=SECRET"


def _spec(pipeline: Pipeline, site: KubeflowSite) -> Json:
    steps = pipeline.order()
    verdicts = list(dict.fromkeys(one.only_if for one in steps if one.only_if))
    imported = [name for name in site.folders if any(name in pipeline.folders_of(one) for one in steps)]
    components = {f"comp-{task(one.name)}": _component(pipeline, one, site) for one in steps}
    components |= {f"comp-{task(name)}": _importer_component(task(name)) for name in imported}
    components |= {f"comp-{refused(name)}": _refused_component(name) for name in verdicts}
    executors = {f"exec-{task(one.name)}": {"container": _container(pipeline, one, site)} for one in steps}
    executors |= {f"exec-{task(name)}": _importer() for name in imported}
    executors |= {f"exec-{refused(name)}": {"container": _refused_container(name, site)} for name in verdicts}
    tasks = {task(one.name): _task(pipeline, one, site) for one in steps}
    tasks |= {task(name): _importer_task(name) for name in imported}
    tasks |= {refused(name): _refused_task(name) for name in verdicts}
    texts = [one for one in pipeline.inputs if one.kind == "text"]
    given = {one.name: _parameter(_default(one, site), one.says) for one in texts}
    says = {one.name: one.says for one in pipeline.inputs}
    given |= {address(name): _parameter(site.folders[name], says[name]) for name in imported}
    return {
        "pipelineInfo": {"name": site.name, "description": "; ".join(f"{one.name}: {one.says}" for one in steps)},
        "schemaVersion": SCHEMA,
        "sdkVersion": "modelstack",
        "root": {"dag": {"tasks": tasks}, "inputDefinitions": {"parameters": given}},
        "components": components,
        "deploymentSpec": {"executors": executors},
    }


def task(name: str) -> str:
    """The task name of a step or a folder: Kubernetes allows no `_`."""
    return name.replace("_", "-")


def refused(step: str) -> str:
    """The task that fails if the verdict of a step did not pass."""
    return f"{task(step)}-refused"


def address(folder: str) -> str:
    """The parameter with the address of a folder."""
    return f"{folder}_uri"


def digest(step: str) -> str:
    """The parameter with the digest of an outcome that another step takes."""
    return f"{step}--{DIGEST}"


def _folders(pipeline: Pipeline, step: Step, site: KubeflowSite) -> tuple[str, ...]:
    """The folders from outside that a step takes here."""
    return tuple(name for name in pipeline.folders_of(step) if name in site.folders)


def _cached(pipeline: Pipeline, step: Step, site: KubeflowSite) -> bool:
    return step.cached and (bool(pipeline.steps_of(step)) or not _folders(pipeline, step, site))


# Tasks: their inputs, and when they run.


def _task(pipeline: Pipeline, step: Step, site: KubeflowSite) -> Json:
    steps, folders = pipeline.steps_of(step), _folders(pipeline, step, site)
    parameters = {one.name: {"componentInputParameter": one.name} for one in pipeline.texts_of(step)}
    parameters |= {digest(name): _output(name, DIGEST) for name in steps}
    artifacts = {name: _artifact(task(name), name) for name in steps}
    artifacts |= {name: _artifact(task(name), IMPORTED) for name in folders}
    more: Json = {"retryPolicy": {"maxRetryCount": step.retries, **BACKOFF}} if step.retries else {}
    if step.only_if:
        parameters |= {f"{step.only_if}--{PASSED}": _output(step.only_if, PASSED)}
        more |= {"triggerPolicy": {"condition": _condition(step.only_if, "true")}}
    return {
        "taskInfo": {"name": task(step.name)},
        "componentRef": {"name": f"comp-{task(step.name)}"},
        "cachingOptions": {"enableCache": True} if _cached(pipeline, step, site) else {},
        "inputs": {"artifacts": artifacts, "parameters": parameters},
        "dependentTasks": sorted(task(name) for name in (*steps, *folders)),
        **more,
    }


def _refused_task(name: str) -> Json:
    return {
        "taskInfo": {"name": refused(name)},
        "componentRef": {"name": f"comp-{refused(name)}"},
        "cachingOptions": {},
        "inputs": {
            "artifacts": {name: _artifact(task(name), name)},
            "parameters": {f"{name}--{PASSED}": _output(name, PASSED)},
        },
        "dependentTasks": [task(name)],
        "triggerPolicy": {"condition": _condition(name, "false")},
    }


def _importer_task(name: str) -> Json:
    return {
        "taskInfo": {"name": task(name)},
        "componentRef": {"name": f"comp-{task(name)}"},
        "cachingOptions": {},
        "inputs": {"parameters": {"uri": {"componentInputParameter": address(name)}}},
    }


def _condition(step: str, value: str) -> str:
    return f"inputs.parameter_values['{step}--{PASSED}'] == {value}"


def _output(step: str, key: str) -> Json:
    return {"taskOutputParameter": {"producerTask": task(step), "outputParameterKey": key}}


def _artifact(producer: str, key: str) -> Json:
    return {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": key}}


# Components: their inputs and outputs.


def _component(pipeline: Pipeline, step: Step, site: KubeflowSite) -> Json:
    steps, folders = pipeline.steps_of(step), _folders(pipeline, step, site)
    parameters = {one.name: _typed("STRING") for one in pipeline.texts_of(step)}
    parameters |= {digest(name): _typed("STRING") for name in steps}
    parameters |= {f"{step.only_if}--{PASSED}": _typed("BOOLEAN")} if step.only_if else {}
    gives = {DIGEST: _typed("STRING")} | ({PASSED: _typed("BOOLEAN")} if VERDICT in step.gives else {})
    return {
        "executorLabel": f"exec-{task(step.name)}",
        "inputDefinitions": {
            "artifacts": {name: _any_artifact() for name in (*steps, *folders)},
            "parameters": parameters,
        },
        "outputDefinitions": {"artifacts": {step.name: _any_artifact()}, "parameters": gives},
    }


def _refused_component(name: str) -> Json:
    return {
        "executorLabel": f"exec-{refused(name)}",
        "inputDefinitions": {
            "artifacts": {name: _any_artifact()},
            "parameters": {f"{name}--{PASSED}": _typed("BOOLEAN")},
        },
    }


def _importer_component(name: str) -> Json:
    return {
        "executorLabel": f"exec-{name}",
        "inputDefinitions": {"parameters": {"uri": _typed("STRING")}},
        "outputDefinitions": {"artifacts": {IMPORTED: _any_artifact()}},
    }


def _any_artifact() -> Json:
    return {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}


def _typed(kind: str) -> Json:
    return {"parameterType": kind}


def _default(text: Input, site: KubeflowSite) -> str | None:
    """The default text of a run; None if it must be given."""
    return site.texts.get(text.name, None if text.asked(site.folders) else text.default)


def _parameter(default: str | None, says: str) -> Json:
    optional = {} if default is None else {"defaultValue": default, "isOptional": True}
    return {"parameterType": "STRING", "description": says, **optional}


# Containers.


def _container(pipeline: Pipeline, step: Step, site: KubeflowSite) -> Json:
    taken = (*pipeline.steps_of(step), *_folders(pipeline, step, site))
    words = [word for name in taken for word in ("--in", f"{name}={{{{$.inputs.artifacts['{name}'].path}}}}")]
    texts = [one.name for one in pipeline.texts_of(step)]
    words += [word for name in texts for word in ("--set", f"{name}={{{{$.inputs.parameters['{name}']}}}}")]
    out = f"{{{{$.outputs.artifacts['{step.name}'].path}}}}"
    return {
        "image": site.image,
        "command": list(COMMAND),
        "args": ["{{$}}", step.name, *words, "--out", out],
        "resources": _resources(step.resources),
    }


def _refused_container(name: str, site: KubeflowSite) -> Json:
    path = f"{{{{$.inputs.artifacts['{name}'].path}}}}"
    return {
        "image": site.image,
        "command": list(COMMAND),
        "args": [REFUSED, name, path],
        "resources": _resources(Resources()),
    }


def _importer() -> Json:
    return {
        "importer": {
            "artifactUri": {"runtimeParameter": "uri"},
            "typeSchema": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"},
        }
    }


def _resources(needs: Resources) -> Json:
    """As the SDK writes them: numbers for older servers, texts for newer ones. Memory is in units of 10^9 bytes."""
    return {
        "cpuRequest": float(needs.cpus),
        "resourceCpuRequest": str(needs.cpus),
        "memoryRequest": float(needs.memory_gb),
        "resourceMemoryRequest": f"{needs.memory_gb}G",
        "memoryLimit": float(needs.memory_gb),
        "resourceMemoryLimit": f"{needs.memory_gb}G",
    }


def _needs(pipeline: Pipeline, site: KubeflowSite) -> Json:
    """The Kubernetes settings of the steps that change something outside."""
    changing = [one for one in pipeline.order() if not one.cached]
    executors = {f"exec-{task(one.name)}": _secrets(site) for one in changing}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def _secrets(site: KubeflowSite) -> Json:
    variables: list[Json] = []
    folders: list[Json] = []
    for place, one in sorted(site.secrets.items()):
        named = {"secretName": one.name, "secretNameParameter": {"runtimeValue": {"constant": one.name}}}
        if one.key:
            variables.append({**named, "keyToEnv": [{"secretKey": one.key, "envVar": place}], "optional": False})
        else:
            folders.append({**named, "mountPath": place, "optional": False})
    found = {"secretAsEnv": variables, "secretAsVolume": folders}
    return {name: given for name, given in found.items() if given}
