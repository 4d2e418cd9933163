"""Grammars that generate prompts: people's, programs', and a harvest's generic questions."""
