"""Which versions are loaded, with how many instances, and which one answers."""
