"""Instances: worker processes that run one version, one execution at a time, behind shared memory and fixed frames."""
