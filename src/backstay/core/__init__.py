"""The concepts of the application in plain Python: messages, bus, principal, errors, ports."""
