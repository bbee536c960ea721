"""`make promote`: dev, staging and prod at once, each in an account of its own."""
