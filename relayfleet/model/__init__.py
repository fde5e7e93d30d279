"""The words of the fleet: frozen, pure, no clock, no I/O."""
