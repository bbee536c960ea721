"""Should a new version be trained, and is one that was trained to be released?

A pure decision over a record, and adapters beside it. A retraining ends with a candidate, a registered package; only
`pulumi up` opens its rollout, so that it passes the same gates as a commit.
"""
