"""What is sent by mail, and what people do with the links in it."""
