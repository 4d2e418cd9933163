"""Grammars that write made-up prompts: people's, programs', and a harvest's generic questions."""
