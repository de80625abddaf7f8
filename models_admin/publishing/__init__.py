"""Rows → snapshot, report → rows: where the control plane's tables meet the data plane's values."""
