"""The report of a job: records in; one HTML page, one Markdown summary and one JSON document out. No Prefect, no
storage, no clock. Nothing is imported here: commands that only want `wording` should not wait for Jinja."""
