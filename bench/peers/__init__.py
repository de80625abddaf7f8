"""Other model servers, set up and started for comparison on the same models."""
