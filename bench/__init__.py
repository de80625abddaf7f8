"""Measurements of the running server: bench/smoke and bench/kill. Results are data with versions and hardware."""
