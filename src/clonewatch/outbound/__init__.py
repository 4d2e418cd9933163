"""Tells other systems and people what happened to cases: signed webhooks, chat, mail, and lines for a SIEM."""
