"""`nightreel doctor`: looking for what is wrong or left over, and repairing it."""
