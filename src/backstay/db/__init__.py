"""The database: engines, the transaction of a command, tables, queries and migrations."""
