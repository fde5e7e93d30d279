"""The process beside one session: offers entries, records receipts."""
