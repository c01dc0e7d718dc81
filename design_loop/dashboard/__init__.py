"""Web pages of the campaigns of a ledger: in the server of the models, or alone on a laptop."""
