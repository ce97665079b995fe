"""Answers that are kept: the steps of the pipeline, in process, on Redis."""
