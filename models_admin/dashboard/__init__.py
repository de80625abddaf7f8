"""The pages: one module each, which reads through selectors and writes through services."""
