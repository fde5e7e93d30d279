"""What a route is known by in what the router remembers of it: its cooldowns and its breakers."""

from __future__ import annotations

import hashlib

from relayfleet.model.route import Route


def route_fingerprint(route: Route) -> str:
    """Stays the same when routes are added or taken out before it: 16 hex digits."""
    return hashlib.sha256(repr((route.match, route.to)).encode()).hexdigest()[:16]
