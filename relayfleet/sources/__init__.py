"""What the fleet watches."""
