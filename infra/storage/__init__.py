"""Where results lie: one output root on any object store, with atomic commits and true listings."""
