"""What a failure is and what follows from it: classes, records, attempts, quarantine. No Prefect."""
