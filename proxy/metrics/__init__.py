"""Counts what happened and says it: per second for pages and tables, in total for Prometheus."""
