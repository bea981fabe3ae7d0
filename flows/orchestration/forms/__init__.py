"""What the forms say on which a person starts a run in Prefect's pages: fields, texts, what may stay empty."""
