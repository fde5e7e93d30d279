"""The whole job on embedded parts, for `fleet demo`."""
