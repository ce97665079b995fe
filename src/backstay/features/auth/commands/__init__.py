"""Signing in, staying signed in, signing out, changing the password."""
