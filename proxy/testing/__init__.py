"""Doubles that we ship: each passes the suite of the real thing it stands for."""
