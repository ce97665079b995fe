"""The ports, each implemented with one technology: `<port>_<technology>.py`."""
