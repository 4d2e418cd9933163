"""Takes batches of exchanges, account facts and events over the network, into the spool."""
