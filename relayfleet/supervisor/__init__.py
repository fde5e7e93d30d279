"""Keeps the daemons of a fleet as they are wanted."""
