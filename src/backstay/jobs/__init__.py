"""Jobs: commands that are stored, claimed by workers and sent later."""
