"""Small language models, really trained, on which the audit's power and its false alarms are measured."""
