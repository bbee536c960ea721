"""`modelstack console`: a stack's dashboard, rollout, alarms and registry in a browser, from live data.

`pages` collects what each page shows, `figure` is a chart as data, `static/charts.js` draws it with uPlot, and `app`
serves the pages.
"""
