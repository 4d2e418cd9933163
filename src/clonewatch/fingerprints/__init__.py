"""Features of prompts without their words; raw text is dropped here."""
