"""VQGANs on taming's own modules."""
