"""Finds plugins, loads them, gives each its api."""
