"""Where a runner lives: this machine now, containers and hosts over ssh as backends of the same port."""
