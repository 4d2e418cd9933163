"""Blinded matching over HTTP: the ways in to `sharing.matching.answering`."""
