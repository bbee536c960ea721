"""Documents and signatures that go with a package, all made from its facts. Pure.

evidence = sign(facts, KeyPair.read(Path("key.pem")))
facts = evidence.verify("sha256:...", public_key)      # raises unless every signature and digest is right
"""
