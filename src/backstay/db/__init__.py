"""The database: engines, the one transaction, rows and the questions asked of them."""
