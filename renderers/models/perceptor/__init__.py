"""CLIP models in the role of judge."""
