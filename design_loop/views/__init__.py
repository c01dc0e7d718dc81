"""What report and dashboard show: the ledger as plain data, drawings and pieces of HTML."""
