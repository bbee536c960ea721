"""An AWS of one's own on 127.0.0.1: what a project needs of it, in one process and one folder.

`python -m localcloud start --state DIR --port N` starts it, `stop` ends it, `status` tells of it.
"""
