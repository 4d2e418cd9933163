"""Exercises: policies against the attacker of the lab, in a closed loop of simulated log, scan, policy and reaction."""
