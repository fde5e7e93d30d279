"""GitHub, read through the `gh` program."""
