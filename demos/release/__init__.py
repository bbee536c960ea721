"""`make demo` and `make demo-kubernetes`: one release is promoted, a faulty one is rolled back."""
