"""Says to Pulumi's CLI that `pulumi-modelstack` has no plugin, which it would else download before an update."""
