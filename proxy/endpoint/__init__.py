"""HTTP: an own listener for the inference port, an ASGI application for the dashboard port, one set of routes."""
