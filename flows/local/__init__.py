"""Everything on this machine: `nightreel up` with its parts, and a Prefect server of a command's own."""
