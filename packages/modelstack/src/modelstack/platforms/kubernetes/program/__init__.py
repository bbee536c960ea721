"""The controller in the cluster: `python -m modelstack.platforms.kubernetes.program`.

One process drives all Rollouts of its namespace. Any number may run, and any may be killed: the journal accepts each
decision from only one of them.
"""
