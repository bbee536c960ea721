"""The metrics that this project publishes: the one home of their names, which everything above may import.

Those that the judge compares, and the namespace of all, are in `rollout.core.catalogue`. AWS's own metrics, namespaces
and dimensions are in `platforms.aws.metrics`; alarms, resources and folders are in `platforms.aws.names`.
"""

from __future__ import annotations

DRIFT_EVIDENCE, DRIFT_DISTANCE = "DriftEvidence", "DriftDistance"
DRIFT_UNMEASURED = "DriftUnmeasured"
"""Releases that serve and whose drift cannot be measured, and captured files that were set aside."""
CAPTURE_ROWS, CAPTURE_UNREADABLE = "CaptureRows", "CaptureUnreadable"
CAPTURED = "CapturedExchanges"
"""Exchanges that were taken in, where they are posted: CloudWatch counts none."""
OUT_OF_RANGE, NEW_CODES = "OutOfRange", "NewCodes"
MISSING = "MissingValues"
"""Rows without a value: null, NaN, or without the field."""
SCHEMA = "SchemaViolations"
"""Rows that are no objects, fields that are no feature, values of a wrong type, and features that a row leaves out
though no row of training was without a value."""

UNPARSABLE, UNKNOWN = "LabelsUnparsable", "LabelsUnknown"
DUPLICATE, CONTRADICTING, LOST = "LabelsDuplicate", "LabelsContradicting", "LabelsLost"
ANSWERS_UNREADABLE, ANSWERS_DUPLICATE, ANSWERS_SKEWED = "AnswersUnreadable", "AnswersDuplicate", "AnswersSkewed"
UNUSABLE = (
    *(UNPARSABLE, UNKNOWN, DUPLICATE, CONTRADICTING, LOST),
    *(ANSWERS_UNREADABLE, ANSWERS_SKEWED, ANSWERS_DUPLICATE),
)
"""What counts labels and answers of an endpoint that could not be used."""
DELAY = "LabelsDelay"
"""Seconds from when a file of captures or labels was written until it was taken in, the longest of a call."""

CONCEPT_EVIDENCE, PAIRS, SEGMENT_ERROR = "ConceptEvidence", "RealisedPairs", "SegmentError"
REALISED, ESTIMATED = "Realised", "Estimated"
"""How the names of measures begin, by labels and before they come; `Low` and `High` at the end are of an interval."""

PROBE_SUCCESS, PROBE_LATENCY = "ProbeSuccess", "ProbeLatency"
