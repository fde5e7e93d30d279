"""Files and databases that survive: inboxes, receipts, the cursor, locks."""
