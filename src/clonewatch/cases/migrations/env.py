"""Run by Alembic: brings the database behind the connection that it is given to a revision."""

from alembic import context

from clonewatch.cases.tables import METADATA


def run() -> None:
    """Run the steps in the transaction of the caller."""
    context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
    with context.begin_transaction():
        context.run_migrations()


# Alembic loads this file under this name. To import it runs nothing.
if __name__ == "env_py":
    run()
