"""One render job: planned against storage, rendered by workers, stitched, reported. It knows no Prefect and no Ray."""
