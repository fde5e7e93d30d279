"""Talks to running daemons over their sockets."""
