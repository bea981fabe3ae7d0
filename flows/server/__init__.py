"""What we ask of a Prefect server: one of our own, the deployments on it, what it does by itself."""
