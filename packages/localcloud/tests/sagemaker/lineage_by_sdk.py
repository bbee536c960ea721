"""Reads the lineage of one released model by AWS's SDK, as AWS's notebooks and the SDK's own tests do.

`python lineage_by_sdk.py JSON` takes what is called how (see `test_lineage_clients.released`), and prints `done`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from sagemaker.core.experiments.run import Run
from sagemaker.core.helper.session_helper import Session
from sagemaker.core.lineage.action import ModelPackageApprovalAction
from sagemaker.core.lineage.artifact import DatasetArtifact, ModelArtifact
from sagemaker.core.lineage.context import Context, EndpointContext
from sagemaker.core.lineage.lineage_trial_component import LineageTrialComponent
from sagemaker.core.lineage.query import (
    LineageEntityEnum,
    LineageFilter,
    LineageQuery,
    LineageQueryDirectionEnum,
    LineageSourceEnum,
)
from sagemaker.core.lineage.visualizer import LineageTableVisualizer
from sagemaker.core.resources import Artifact, TrialComponent

Told = dict[str, str]


def above(session: Any, arn: str, entity: Any, source: Any) -> list[Any]:
    """What led to an entity: vertices of a kind, of a type."""
    wanted = LineageFilter(entities=[entity], sources=[source])
    up = LineageQueryDirectionEnum.ASCENDANTS
    asked = {"start_arns": [arn], "direction": up, "include_edges": False, "query_filter": wanted}
    return LineageQuery(session).query(**asked).vertices


def the_notebook_on_multi_hop_queries_begins_at_the_endpoint(session: Any, told: Told) -> Any:
    (listed,) = Context.list(source_uri=told["endpoint"], sagemaker_session=session)
    endpoint = EndpointContext.load(context_name=listed.context_name, sagemaker_session=session)
    assert [one.source.source_uri for one in endpoint.dataset_artifacts()] == [told["data"]]
    assert [arn.rpartition("/")[2] for arn in endpoint.training_job_arns()] == [told["job"]]
    models = above(session, endpoint.context_arn, LineageEntityEnum.ARTIFACT, LineageSourceEnum.MODEL)
    found = {vertex.to_lineage_object().source.source_uri for vertex in models}
    assert found == {told["package"], told["archive"]}
    return endpoint


def the_sdks_tests_walk_from_a_version_its_approval_its_job_and_its_data(
    session: Any, told: Told, endpoint: Any
) -> None:
    (summary,) = ModelArtifact.list(source_uri=told["package"], sagemaker_session=session)
    version = ModelArtifact.load(artifact_arn=summary.artifact_arn, sagemaker_session=session)
    assert [one.context_name for one in version.endpoint_contexts()] == [endpoint.context_name]
    assert [one.source.source_uri for one in version.dataset_artifacts()] == [told["data"]]
    approvals = above(session, endpoint.context_arn, LineageEntityEnum.ACTION, LineageSourceEnum.APPROVAL)
    assert len(approvals) == 2
    name = approvals[0].arn.split("/")[1]
    approval = ModelPackageApprovalAction.load(action_name=name, sagemaker_session=session)
    assert [one.source.source_uri for one in approval.endpoints()] == [told["endpoint"]]
    assert approval.source.source_uri == told["package"]
    job = f"{told['job']}-aws-training-job"
    component = LineageTrialComponent.load(trial_component_name=job, sagemaker_session=session)
    assert {one.source.source_uri for one in component.models()} == {told["archive"], told["package"]}
    (data,) = DatasetArtifact.list(source_uri=told["data"], sagemaker_session=session)
    data = DatasetArtifact.load(artifact_arn=data.artifact_arn, sagemaker_session=session)
    assert [one.context_name for one in data.endpoint_contexts()] == [endpoint.context_name]


def the_notebooks_show_tables_of_a_version_and_of_a_job(session: Any, told: Told) -> None:
    table = LineageTableVisualizer(session).show(model_package_arn=told["package"])
    rows = {tuple(row[1:5]) for row in table.values.tolist()}
    assert rows == {
        ("Input", "Model", "ContributedTo", "artifact"),
        ("Input", "Image", "ContributedTo", "artifact"),
        ("Input", "Approval", "ContributedTo", "action"),
        ("Output", "ModelDeployment", "ContributedTo", "action"),
        ("Output", "ModelGroup", "AssociatedWith", "context"),
    }, rows
    table = LineageTableVisualizer(session).show(training_job_name=told["job"])
    outputs = [row[1:4] for row in table.values.tolist() if row[1] == "Output"]
    assert outputs == [["Output", "Model", "Produced"]]


def the_classes_that_are_made_of_the_service_model_read_it(session: Any, told: Told) -> None:
    described = TrialComponent.get(trial_component_name=f"{told['job']}-aws-training-job")
    assert described.status.primary_status == "Completed"
    assert described.parameters["depth"].number_value == 3
    assert described.output_artifacts["SageMaker.ModelArtifact"].value == told["archive"]
    (version,) = ModelArtifact.list(source_uri=told["package"], sagemaker_session=session)
    assert Artifact.get(artifact_arn=version.artifact_arn).artifact_type == "Model"


def a_run_of_an_experiment_is_made_and_loaded_again(session: Any, told: Told) -> None:
    for _ in range(2):
        with Run(experiment_name=told["group"], run_name="by-hand", sagemaker_session=session) as run:
            run.log_parameter("rate", 0.5)
    assert len(list(run._experiment.list_trials())) == 1


def main() -> None:
    told, session = json.loads(sys.argv[1]), Session()
    endpoint = the_notebook_on_multi_hop_queries_begins_at_the_endpoint(session, told)
    the_sdks_tests_walk_from_a_version_its_approval_its_job_and_its_data(session, told, endpoint)
    the_notebooks_show_tables_of_a_version_and_of_a_job(session, told)
    the_classes_that_are_made_of_the_service_model_read_it(session, told)
    a_run_of_an_experiment_is_made_and_loaded_again(session, told)
    print("done")


main()
