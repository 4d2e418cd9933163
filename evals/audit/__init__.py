"""Small trained language models on which the audit's power and false alarms are measured."""
