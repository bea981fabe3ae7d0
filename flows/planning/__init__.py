"""From what is to do to chunks of work and their order. Pure functions on frozen data: no storage, no clock."""
