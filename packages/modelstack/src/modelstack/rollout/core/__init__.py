"""The plan of a trial, the state of its rollout, and the next step: data and pure functions."""
