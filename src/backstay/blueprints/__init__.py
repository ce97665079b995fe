"""Blueprints: they write projects and features, and merge later what they would write then.

A blueprint is a pure function of its options: it returns a text for each path. `tree` brings these
texts into a project. A running server imports none of this.
"""
