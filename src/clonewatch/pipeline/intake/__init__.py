"""What a log becomes before anything is detected: staged tables, without text and without duplicates."""
