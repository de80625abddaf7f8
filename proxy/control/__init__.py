"""Takes snapshots of the wanted state and hands each room its part; reports what is."""
