"""The comment on a pull request: what it would change in the cloud, the model and the data, and how long that takes."""
