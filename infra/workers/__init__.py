"""What flows rent: pools of workers, the worker itself, and what travels between the two."""
