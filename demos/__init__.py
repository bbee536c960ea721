"""Stories that `make demo`, `make promote`, `make pipeline` and `make year` tell on this machine; see each folder."""
