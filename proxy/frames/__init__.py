"""Messages between the parent and an instance: fixed headers, never pickle; sans-I/O."""
