"""Names of the metrics that this project publishes.

Metrics that the judge compares, and the namespace, are in `modelstack.rollout.core.catalogue`; AWS's own in
`modelstack.platforms.aws.metrics`.
"""

from __future__ import annotations

DRIFT_EVIDENCE, DRIFT_DISTANCE = "DriftEvidence", "DriftDistance"
DRIFT_UNMEASURED = "DriftUnmeasured"
"""Serving releases whose drift cannot be measured, and captured files that were set aside."""
CAPTURE_ROWS, CAPTURE_UNREADABLE = "CaptureRows", "CaptureUnreadable"
CAPTURED = "CapturedExchanges"
"""Exchanges that were received, where they are posted; CloudWatch has no such count."""
OUT_OF_RANGE, NEW_CODES = "OutOfRange", "NewCodes"
MISSING = "MissingValues"
"""Rows without a value: null, NaN, or without the field."""
SCHEMA = "SchemaViolations"
"""Rows that are no objects, unknown fields, values of a wrong type, and missing fields that every training row had."""

UNPARSABLE, UNKNOWN = "LabelsUnparsable", "LabelsUnknown"
DUPLICATE, CONTRADICTING, LOST = "LabelsDuplicate", "LabelsContradicting", "LabelsLost"
ANSWERS_UNREADABLE, ANSWERS_DUPLICATE, ANSWERS_SKEWED = "AnswersUnreadable", "AnswersDuplicate", "AnswersSkewed"
UNUSABLE = (
    *(UNPARSABLE, UNKNOWN, DUPLICATE, CONTRADICTING, LOST),
    *(ANSWERS_UNREADABLE, ANSWERS_SKEWED, ANSWERS_DUPLICATE),
)
"""Counts of labels and answers of an endpoint that could not be used."""
DELAY = "LabelsDelay"
"""Seconds from writing a file of captures or labels until it was processed, the maximum of a call."""

CONCEPT_EVIDENCE, PAIRS, SEGMENT_ERROR = "ConceptEvidence", "RealisedPairs", "SegmentError"
REALISED, ESTIMATED = "Realised", "Estimated"
"""Prefixes of measures, by labels and before they arrive; the suffixes `Low` and `High` are the ends of an interval."""

PROBE_SUCCESS, PROBE_LATENCY = "ProbeSuccess", "ProbeLatency"
