"""What people do to their accounts, and what the application does to them."""
