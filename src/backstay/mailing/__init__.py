"""Mail: written from templates, and sent by SMTP or kept in a folder."""
