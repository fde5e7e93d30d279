"""What earlier versions wrote is read for ever."""
