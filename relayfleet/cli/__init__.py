"""The `fleet` command: one file per verb."""
