"""`modelstack console`: a stack's dashboard, rollout, alarms and registry in a browser, from live data.

`definition` reads a CloudWatch dashboard's body, `series` fetches what it names, `chart` draws it, `pages` says what
each page shows, `app` serves them.
"""
