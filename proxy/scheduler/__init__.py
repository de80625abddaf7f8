"""Decides who waits, who is refused, which requests run together, and where."""
