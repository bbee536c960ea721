"""The same model, built by each engine of the pipeline on this machine, and the digests of what each step made.

`local_build` builds by the local engine, `sagemaker_execution` by a pipeline in the local cloud, `kubeflow_docker` by
Kubeflow's own SDK in containers. `python -m demos.builds` is `make pipeline`, which compares them.
"""
