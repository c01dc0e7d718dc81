"""Proposers side by side: the same task, budget, loop and ledger, only the proposer differs."""
