"""What must not be lost: the ledger, the pictures, the manifest."""
