"""The live page of an output: what its runs are doing, served on loopback from storage alone. No Prefect in here: who
starts the page says what a re-run is begun with."""
