"""The cache of principals, and the channels that tell other processes of their changes."""
