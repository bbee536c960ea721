"""Searches a prediction by id, in the ledger of labels and then in the bucket's captures."""

from __future__ import annotations

from dataclasses import replace

from cli.errors import OperatorError, explained
from cli.target import Target
from monitoring.predictions import Searched, Window, of_entry
from platforms.aws.documents import DynamoDocuments
from platforms.aws.files import captures_of
from platforms.aws.names import documents
from services.ledger import entry_of


def find(target: Target, word: str, window: Window) -> Searched:
    """Search an id or the beginning of one; OperatorError if the captures cannot be read."""
    ledger = documents(target.endpoint)
    captures = captures_of(target.client, target.output("artifact_bucket"), target.endpoint)
    known = Searched(places=(f"the ledger of labels, table {ledger}",))
    try:
        with explained("looking into the ledger of labels"):
            entry = entry_of(DynamoDocuments(target.client, ledger), word)
            known = replace(known, exact=of_entry(entry, window) if entry else ())
    except OperatorError as error:  # whoever may not read it can look through the captures all the same
        known = Searched(unread=(str(error),))
    if known.exact:
        return known
    with explained("looking through the captures"):
        found = captures.search(word, window)
    percent = None if found.exact or found.begun else _percent(target)
    return replace(found, places=(*known.places, *found.places), unread=known.unread, percent=percent)


def _percent(target: Target) -> float | None:
    """The percentage of requests that is captured now; None if unknown."""
    try:
        with explained(f"reading endpoint {target.endpoint}"):
            told = target.client("sagemaker").describe_endpoint(EndpointName=target.endpoint).get("DataCaptureConfig")
    except OperatorError:
        return None
    return (told.get("CurrentSamplingPercentage") if told["EnableCapture"] else 0.0) if told else None
