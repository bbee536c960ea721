"""The page on what is served is what the cloud's own tables say."""

from __future__ import annotations

from localcloud.coverage import PAGE, page


def test_the_page_is_made_from_the_present_tables() -> None:
    assert PAGE.read_text() == page(), "an operation or a member has changed: run `make coverage`"


def test_an_operation_is_listed_with_its_refused_members_or_as_not_served() -> None:
    served, _, others = page().partition("## SageMaker\n")[2].partition("Not served: ")
    row = next(line for line in served.splitlines() if line.startswith("| `CreateTrainingJob` |"))
    assert "`CheckpointConfig`" in row and "`RoleArn`" not in row
    assert "`CreateNotebookInstance`" in others.partition("\n")[0] and "`CreateNotebookInstance`" not in served
    assert "| `PutMetricData` |  |" in others
