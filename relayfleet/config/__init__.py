"""What a person writes: fleet.json, routes.json, agents/<name>/config.json."""
