"""The command line of a version that keeps one column more of exchanges, of accounts and of events. Run as a script."""

import pyarrow as pa

from clonewatch.pipeline.intake import staging

if __name__ == "__main__":  # not on import: collecting tests imports this file
    staging._KEPT["temperature"] = pa.float32()
    staging._ACCOUNT_HASHED["email_domain"] = "domain"
    staging.EXCHANGE_SCHEMA = staging.EXCHANGE_SCHEMA.append(pa.field("temperature", pa.float32()))
    staging.ACCOUNT_SCHEMA = staging.ACCOUNT_SCHEMA.append(pa.field("domain", pa.int64()))
    staging.EVENT_SCHEMA = staging.EVENT_SCHEMA.append(pa.field("reason", pa.string()))

    from clonewatch.cli.main import run

    run()
