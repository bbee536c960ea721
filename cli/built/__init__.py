"""The same model, built by each engine of the pipeline on this machine, and the digests of what each step made.

`here` builds by the local engine, `executed` by a pipeline of SageMaker in the local cloud, `contained` by Kubeflow's
own SDK in containers. Each gives step -> digest. `command` is `make pipeline`, which puts them side by side.
"""
