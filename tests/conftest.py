"""Puts this folder on the path, so that test modules of several folders share helpers such as `api_cast`."""
