"""The admin console: pages made from the route tables of the features.

It sends the same messages over the same bus as the API, as the person who is signed in. It is
imported with the first request to it, and not at all where `ADMIN_CONSOLE` is off.
"""
