"""How a case store is brought to the tables of this version, step by step: Alembic reads this folder."""
