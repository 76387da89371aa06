"""TabPy's tools for deploying functions, as they work within a worker."""
