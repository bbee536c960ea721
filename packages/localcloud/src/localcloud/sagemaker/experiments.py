"""What groups the runs of a model: experiments, and the trials in them.

Names are told apart without regard to case, as documented; the ARN has them in lower case.
"""

from __future__ import annotations

from collections.abc import Callable

from localcloud.sagemaker.account import Account
from localcloud.sagemaker.errors import ApiError, invalid
from localcloud.sagemaker.listing import Listing, with_usual_times
from localcloud.sagemaker.store import Document, Store, Transaction
from localcloud.sagemaker.wire import Operation, Request

EXPERIMENT, TRIAL, COMPONENT = "experiment", "experiment-trial", "experiment-trial-component"
"""Kinds of documents, and of ARNs. A component's document names the trials that it is in: `Trials`."""


class Experiments:
    """Create, describe, update, delete and list experiments and trials.

    Differs from AWS: `CreatedBy` and `LastModifiedBy` are empty, because callers are not told apart here.
    """

    def __init__(self, store: Store, account: Account) -> None:
        self._store = store
        self._account = account

    def operations(self) -> dict[str, Operation]:
        """The operations of this part, by name."""
        return {
            "CreateExperiment": self.create_experiment,
            "DescribeExperiment": self.describe_experiment,
            "UpdateExperiment": self.update_experiment,
            "DeleteExperiment": self.delete_experiment,
            "ListExperiments": self.list_experiments,
            "CreateTrial": self.create_trial,
            "DescribeTrial": self.describe_trial,
            "UpdateTrial": self.update_trial,
            "DeleteTrial": self.delete_trial,
            "ListTrials": self.list_trials,
        }

    async def create_experiment(self, request: Request) -> Document:
        """Make an empty experiment."""
        async with self._store.change() as change:
            return {"ExperimentArn": make(self._store, self._account, change, EXPERIMENT, request)}

    async def describe_experiment(self, request: Request) -> Document:
        """Everything about an experiment."""
        return shown(found(self._store, self._account, EXPERIMENT, request["ExperimentName"]))

    async def update_experiment(self, request: Request) -> Document:
        """Change how an experiment is shown."""
        async with self._store.change() as change:
            experiment = found(self._store, self._account, EXPERIMENT, request["ExperimentName"])
            put(change, EXPERIMENT, {**experiment, **request, **changed(self._account), **_named(experiment)})
        return {"ExperimentArn": experiment["ExperimentArn"]}

    async def delete_experiment(self, request: Request) -> Document:
        """Forget an experiment that has no trials any more."""
        async with self._store.change() as change:
            experiment = found(self._store, self._account, EXPERIMENT, request["ExperimentName"])
            arn, name = experiment["ExperimentArn"], experiment["ExperimentName"]
            if any(trial["ExperimentName"] == name for trial in self._store.all(TRIAL)):
                raise invalid(f"Experiment {arn} cannot be deleted because it still has trials.")
            change.delete(EXPERIMENT, key(name))
        return {"ExperimentArn": arn}

    async def list_experiments(self, request: Request) -> Document:
        """Experiments, the newest first unless asked otherwise."""
        listing = Listing("ExperimentSummaries", "ExperimentName", _summary("Experiment"))
        return listing.page(self._store.all(EXPERIMENT), with_usual_times(request))

    async def create_trial(self, request: Request) -> Document:
        """Make an empty trial in an experiment."""
        async with self._store.change() as change:
            experiment = found(self._store, self._account, EXPERIMENT, request["ExperimentName"])
            wanted = {**request, "ExperimentName": experiment["ExperimentName"]}
            return {"TrialArn": make(self._store, self._account, change, TRIAL, wanted)}

    async def describe_trial(self, request: Request) -> Document:
        """Everything about a trial."""
        return shown(found(self._store, self._account, TRIAL, request["TrialName"]))

    async def update_trial(self, request: Request) -> Document:
        """Change how a trial is shown."""
        async with self._store.change() as change:
            trial = found(self._store, self._account, TRIAL, request["TrialName"])
            put(change, TRIAL, {**trial, **request, **changed(self._account), **_named(trial)})
        return {"TrialArn": trial["TrialArn"]}

    async def delete_trial(self, request: Request) -> Document:
        """Forget a trial that has no components any more."""
        async with self._store.change() as change:
            trial = found(self._store, self._account, TRIAL, request["TrialName"])
            arn, name = trial["TrialArn"], trial["TrialName"]
            if any(name in component["Trials"] for component in self._store.all(COMPONENT)):
                raise invalid(f"Trial {arn} cannot be deleted because it still has trial components.")
            change.delete(TRIAL, key(name))
        return {"TrialArn": arn}

    async def list_trials(self, request: Request) -> Document:
        """Trials of an experiment, of a component or of all, the newest first unless asked otherwise."""
        trials = self._store.all(TRIAL)
        if "ExperimentName" in request:
            name = found(self._store, self._account, EXPERIMENT, request["ExperimentName"])["ExperimentName"]
            trials = [trial for trial in trials if trial["ExperimentName"] == name]
        if "TrialComponentName" in request:
            component = found(self._store, self._account, COMPONENT, request["TrialComponentName"])
            trials = [trial for trial in trials if trial["TrialName"] in component["Trials"]]
        return Listing("TrialSummaries", "TrialName", _summary("Trial")).page(trials, with_usual_times(request))


def key(name: str) -> str:
    """What tells names apart, and stands in ARNs."""
    return name.lower()


def make(store: Store, account: Account, change: Transaction, kind: str, wanted: Document) -> str:
    """Make an experiment, a trial or a trial component; answers its ARN.

    Raises:
        ApiError: The name is taken.
    """
    word = WORDS[kind]
    name = wanted[f"{word}Name"]
    arn = account.arn(kind, key(name))
    if store.get(kind, key(name)):
        raise invalid(f"{word} names must be unique within an AWS account. {word} {arn} already exists.")
    now = account.now()
    put(change, kind, {"DisplayName": name, **wanted, f"{word}Arn": arn, "CreationTime": now, "LastModifiedTime": now})
    return arn


def found(store: Store, account: Account, kind: str, name_or_arn: str) -> Document:
    """An experiment, a trial or a trial component.

    Raises:
        ApiError: There is none.
    """
    name = key(account.name(kind, name_or_arn))
    document = store.get(kind, name)
    if document is None:
        arn = name if name.startswith("arn:") else account.arn(kind, name)
        raise ApiError("ResourceNotFound", f"{WORDS[kind]} {arn} does not exist.")
    return document


def put(change: Transaction, kind: str, document: Document) -> None:
    """Write an experiment, a trial or a trial component."""
    change.put(kind, key(document[f"{WORDS[kind]}Name"]), document)


def changed(account: Account) -> Document:
    """The members that tell of a change that is made now."""
    return {"LastModifiedTime": account.now(), "LastModifiedBy": {}}


def shown(document: Document) -> Document:
    """As a Describe operation shows a document."""
    return {**{name: value for name, value in document.items() if name not in _INTERNAL}, "CreatedBy": {}}


WORDS = {EXPERIMENT: "Experiment", TRIAL: "Trial", COMPONENT: "TrialComponent"}
"""What operations and members call each kind."""
_INTERNAL = {"Tags", "Trials"}


def _named(document: Document) -> Document:
    """The name as it was first written, which an update may write in another case."""
    return {name: document[name] for name in ("ExperimentName", "TrialName") if name in document}


def _summary(word: str) -> Callable[[Document], Document]:
    members = (f"{word}Arn", f"{word}Name", "DisplayName", "CreationTime", "LastModifiedTime")

    def summary(document: Document) -> Document:
        source = {f"{word}Source": document["Source"]} if "Source" in document else {}
        return {member: document[member] for member in members} | source

    return summary
