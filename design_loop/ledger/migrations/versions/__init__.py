"""The revisions of the ledger's layout, one linear chain.

A revision is ``rNNNN_what.py`` with ``revision = "NNNN"``, ``down_revision`` the one before and
``upgrade()``. It says in its own words what changes and imports nothing of the program: the tables
of today are not those of its time. There is no way down; the copy that an upgrade leaves beside an
SQLite ledger is the way back.

Columns are added with ``op.add_column``; whatever changes or constrains existing columns needs
``with op.batch_alter_table(...)``, because SQLite has to rebuild the table. Triggers (`guards`) are
taken off before and put on again after an upgrade, so finished rows can be carried over.
"""
