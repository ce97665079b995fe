"""Jobs: commands that are stored in the database and sent later by a worker."""
