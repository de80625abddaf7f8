"""Decides which answers are remembered, and lets identical requests in flight share one execution."""
