"""The views for probes, operators and auditors."""
