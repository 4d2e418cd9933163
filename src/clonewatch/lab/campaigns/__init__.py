"""Harvests as a provider's log would show them: who, when, how much. Test data for detection, nothing else."""
