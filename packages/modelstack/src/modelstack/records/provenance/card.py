"""The model card of a package: Markdown for people, and the content of a SageMaker ModelCard, with the same facts.

Intended use is not in it: no build can know that, so the team documents it with its model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from modelstack.records.provenance.facts import Facts, Metric, canonical, text

UNKNOWN = "unknown"
_MOST_DATASETS, _LONGEST_VALUE, _LONGEST_NAME = 10, 255, 63  # what SageMaker takes


def markdown(facts: Facts) -> bytes:
    """The card in Markdown."""
    return ("\n".join(_lines(facts)) + "\n").encode()


def sagemaker(facts: Facts) -> bytes:
    """The content of a SageMaker ModelCard, canonical JSON."""
    parameters = [
        {"name": name, "value": text(value)[:_LONGEST_VALUE]} for name, value in sorted(facts.recipe.parameters.items())
    ]
    datasets = [f"{one.name} sha256:{one.sha256}" for one in facts.data][:_MOST_DATASETS]
    return canonical(
        {
            "model_overview": {"model_artifact": [facts.package.digest]},
            "training_details": {
                "training_observations": _trained_on(facts),
                "training_job_details": {
                    **({"training_arn": facts.builder.training_job} if facts.builder.training_job else {}),
                    "training_datasets": datasets,
                    "user_provided_hyper_parameters": parameters,
                },
            },
            "evaluation_details": [
                {
                    "name": "evaluation",
                    "metric_groups": [{"name": "gates", "metric_data": [_datum(one) for one in facts.metrics]}],
                }
            ]
            if facts.metrics
            else [],
            "additional_information": {"custom_details": dict(_known(facts))},
        }
    )


def _lines(facts: Facts) -> Iterator[str]:
    yield f"# Model {facts.id}"
    yield ""
    yield from _table(("what", "value"), _known(facts))
    yield from ("", "## What it was measured at", "")
    measured = ((one.name, f"{one.value:.6g}", _interval(one)) for one in facts.metrics)
    yield from _table(("metric", "value", "interval"), measured)
    yield from (
        "",
        "An interval holds for rows that do not depend on each other. Where there is none, it is not known.",
    )
    yield from ("", "## What it was trained on", "", _trained_on(facts), "")
    yield from _table(
        ("data file", "bytes", "sha256", "from"),
        ((one.name, f"{one.size:,}", one.sha256, one.origin or UNKNOWN) for one in facts.data),
    )
    yield from ("", "## Parameters", "")
    yield from _table(
        ("parameter", "value"), ((name, text(at)) for name, at in sorted(facts.recipe.parameters.items()))
    )
    yield from ("", "## Libraries", "")
    roles = {"serves": "serves it", "trains": "made it"}
    yield from _table(
        ("library", "version", "for what"), ((one.name, one.version, roles[one.role]) for one in facts.dependencies)
    )


def _known(facts: Facts) -> Iterator[tuple[str, str]]:
    """What both cards state, in the same words."""
    source, environment = facts.source, facts.environment
    dirty = {True: "yes", False: "no", None: UNKNOWN}[source.dirty]
    yield "package", facts.package.digest
    yield "recipe", facts.recipe.digest
    yield "commit", source.commit or UNKNOWN
    yield "changed since the commit", dirty
    yield "repository", source.remote or UNKNOWN
    yield "data", facts.recipe.data
    yield "data version", facts.data_version or UNKNOWN
    yield "built by", facts.builder.id
    yield "run", facts.builder.invocation or UNKNOWN
    yield "sealed", facts.builder.finished
    yield "python", environment.python
    yield "platform", f"{environment.system} {environment.machine}, {environment.libc or 'unknown libc'}"


def _datum(metric: Metric) -> dict[str, object]:
    return {"name": metric.name[:_LONGEST_NAME], "type": "number", "value": metric.value, "notes": _interval(metric)}


def _interval(metric: Metric) -> str:
    interval = metric.interval
    if interval is None:
        return UNKNOWN
    return f"{interval.low:.6g} to {interval.high:.6g} ({interval.level:.0%})"


def _trained_on(facts: Facts) -> str:
    told = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(facts.trained_on.items()))
    return told or UNKNOWN


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    body = [f"| {' | '.join(map(_cell, row))} |" for row in rows]
    if not body:
        yield "None."
        return
    yield from (f"| {' | '.join(head)} |", "|" + "---|" * len(head), *body)


def _cell(value: str) -> str:
    return value.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
