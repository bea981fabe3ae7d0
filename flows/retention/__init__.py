"""What an output need not keep for ever: which objects nothing needs any more, and their removal."""
