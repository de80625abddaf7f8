"""Shadow executions: a copy of real requests for a candidate version, compared with the real answers and discarded."""
