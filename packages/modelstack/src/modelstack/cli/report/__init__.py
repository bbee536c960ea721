"""The comment on a pull request: its changes of cloud, model and data, and the duration of the rollout."""
