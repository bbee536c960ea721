"""`modelstack console`: a stack's dashboard, rollout, alarms and registry in a browser, from live data.

`definition` reads a CloudWatch dashboard's body, `drawn` says which figure a widget of it is, `trial` which figures a
trial has, `comparison` what two versions differ in. `figure` is a chart as data; `static/charts.js` draws it with uPlot
(`static/uplot`). `asked` reads the time that a page shows, `pages` says what each page shows, `app` serves them.
"""
