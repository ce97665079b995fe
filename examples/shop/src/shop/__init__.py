"""A shop: customers order, pay, and are sent what they ordered."""
