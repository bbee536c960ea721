"""The judge decides whether the challenger is worse than the champion by more than the margins.

    findings = judge(windows, metrics=[Metric("errors", "rate", margin=0.02)], alpha=0.05, starts=[t0, t1], segments=2)
    findings.answer  # "worse", "not worse" or "unknown"

It may be called after every window, and stopped at any of them, without inflating its errors: all evidence is e-values.
An e-value is a number >= 0 whose expectation is at most 1 while the null hypothesis holds. Each metric's windows are
gathered into blocks; the running product of the blocks' e-values is a test supermartingale, so that by Ville's
inequality it ever reaches 1/alpha with probability at most alpha (Ville 1939; Ramdas, Grunwald, Vovk, Shafer,
"Game-theoretic statistics and safe anytime-valid inference", Statist. Sci. 2023, arXiv:2210.01948).

The approach follows Lindon, Sanden and Shirikian, "Rapid regression detection in software deployments through
sequential testing", KDD 2022, arXiv:2205.14762.
"""
