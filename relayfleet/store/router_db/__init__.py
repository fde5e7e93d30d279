"""state/router.db: all that the router knows, in one SQLite file."""
