"""Prefect's side of a job: run as a flow run, watched, handed over; deployments, and what a server does by itself."""
