"""The one process that watches GitHub."""
