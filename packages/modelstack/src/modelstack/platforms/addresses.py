"""The forms of addresses in a stack's config and in the text `place` of a pipeline."""

from __future__ import annotations

from modelstack.pipeline.forms import Form

REGION = Form(r"[a-z]{2}(-[a-z]+)+-\d", "a region of AWS, such as us-east-1")
BUCKET = Form(
    r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
    "3 to 63 lower-case letters, digits, dots and hyphens, a letter or digit first and last",
)
GROUP = Form(
    r"[A-Za-z0-9](-*[A-Za-z0-9]){0,62}", "1 to 63 letters, digits and hyphens, a letter or digit first and last"
)
KEY = Form(
    r"arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/[\w/-]+|alias/[\w/-]+|(mrk-)?[0-9a-f-]{32,36}",
    "a key of KMS: its ARN, its id or alias/<name>",
)
OBJECT = Form(
    r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
    "1 to 63 lower-case letters, digits and hyphens, a letter or digit first and last",
)
URL = Form(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", "http://HOST:PORT or https://HOST:PORT")
REPOSITORY = Form(
    r"[a-z0-9.-]+(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)+", "HOST/PATH or HOST:PORT/PATH, in lower case"
)
