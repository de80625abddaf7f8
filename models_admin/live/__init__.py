"""The dashboard's websocket: one snapshot on connect, then what changed, each second."""
