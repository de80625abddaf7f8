"""The process behind an instance: opens one artifact in a sandbox and runs it, one execution at a time."""
