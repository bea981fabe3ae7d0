"""The files of models: downloads that resume and are checked, and where they lie."""
