"""How an entry reaches the inbox of an agent."""
