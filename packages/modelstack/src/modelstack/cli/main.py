"""The `modelstack` command. Its exit codes are in docs/reference/commands.md."""

from __future__ import annotations

import click

from modelstack.cli.commands import building, deciding, looking, packages, proving, reporting, returning, sending
from modelstack.cli.target_options import Group

_COMMANDS = (
    *(looking.status, looking.watch, looking.explain, looking.console),
    *(deciding.approve, deciding.promote, deciding.rollback, deciding.clear, deciding.skip_trial, deciding.retrain),
    *(sending.invoke, sending.replay, sending.labels),
    *(returning.restore, returning.reproduce),
    *(proving.audit, proving.lineage, proving.trace, reporting.pr_report),
    *(building.pipeline, packages.new, packages.serve, packages.loadtest, packages.model),
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pulumi-modelstack")
def main() -> None:
    """Look at a model's endpoint, send requests to it, and take a release back."""


for _command in _COMMANDS:
    main.add_command(_command)


if __name__ == "__main__":
    main()
