"""One video planned: every setting resolved, every frame addressed by its digest, before a tensor exists."""
