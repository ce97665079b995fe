"""Commands to sign in, to refresh a session, to sign out and to change the password."""
