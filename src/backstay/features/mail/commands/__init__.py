"""Commands that send mails, and those that use the links in them."""
