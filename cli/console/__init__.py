"""`modelstack console`: a stack's dashboard, rollout, alarms and registry in a browser, from live data.

`definition` reads a CloudWatch dashboard's body, `chart` draws what it names, `pages` says what
each page shows, `app` serves them.
"""
