"""Workers on Ray: clusters, actors, how jobs share them; fine-tuning on Ray Train."""
