"""What is said about a package, and who signed it? Pure: plain facts in, bytes out.

    evidence = sign(facts, KeyPair.read(Path("key.pem")))      # documents and two signatures, of the same facts
    told = evidence.verify("sha256:...", public_key)           # the facts, once every signature and digest is right

`facts` is what is known of a build. Everything else is made of it: `statement` (in-toto with SLSA provenance), `bom`
(CycloneDX), `card` (Markdown and SageMaker's), and `signature` (OpenSSF model signing, of the archive). `envelope`
signs and opens them; `evidence` has them together.
"""
