"""Demo models. Modules here are run as processes of their own, so that torch is never loaded into Django."""
