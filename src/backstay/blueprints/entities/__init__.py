"""The blueprint of entities: from a description to a feature with its tests."""
