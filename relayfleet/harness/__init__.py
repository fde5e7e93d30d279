"""How a session is touched: its terminal, its configuration, its channel."""
