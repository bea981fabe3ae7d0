"""Runs as they lie in storage, beside what they render: what each is to do, where it stands, what people ask of it."""
