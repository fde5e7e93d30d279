"""relayfleet: a control plane for a fleet of always-on Claude Code agents."""

__version__ = "0.1.0"
