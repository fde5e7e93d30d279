"""Stands agents up and takes them down: scaffold, plan, lifecycle, doctor."""
