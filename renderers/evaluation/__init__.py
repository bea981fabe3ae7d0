"""How good a model is, measured by what had no part in making it. Nothing here is needed to render."""
