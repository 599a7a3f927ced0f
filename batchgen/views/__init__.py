"""Looking: progress, logs, tables and reports. Views read events and the ledger; nothing waits for them."""
