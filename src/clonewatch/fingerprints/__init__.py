"""What a prompt looks like without its words; raw text ends here."""
