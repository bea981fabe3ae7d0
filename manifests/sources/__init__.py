"""What manifests are built from: YAML, CSV and JSONL, each read within its bounds."""
