"""Queries of load balancers, operators and auditors."""
