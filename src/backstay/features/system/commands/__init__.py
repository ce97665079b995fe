"""Commands of operators, and those that the application sends itself."""
