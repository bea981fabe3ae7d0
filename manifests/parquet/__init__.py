"""Parquet as strangers write it: what it costs is known, by its pages' headers, before anything is decoded."""
