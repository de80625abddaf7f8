"""Which release this is: told to clients, on the page of the system, and the same as in pyproject.toml."""

VERSION = "0.1.0"
