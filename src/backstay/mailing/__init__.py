"""Mail: written from templates, and handed over by SMTP or kept in a folder."""
