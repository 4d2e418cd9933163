"""From a log to staged tables, without text and without duplicates."""
