"""Decides what to change of the running system, one knob at a time, from measurements. Pure."""
