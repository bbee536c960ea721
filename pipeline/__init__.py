"""How does a package come to be? Pure steps, from model code and data to a sealed, registered archive.

    from pipeline.build import build
    from pipeline.recipe import recipe

    wanted = recipe(root, {"max_iter": 80})                    # what determines the model; no training, milliseconds
    sealed = build(root, wanted, gates={"auc": {"min": 0.6}}, progress=print)

The steps `train`, `evaluate`, `gate` and `pack` each read and write files only, so they run the same way in `pulumi up`
and in any pipeline service. `origin` collects where a package came from, beside it. `registry` puts a sealed package
where a stack finds it.
"""
