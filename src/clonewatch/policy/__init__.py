"""Policies as data, and the signed watch list that a policy and approved measures make for gateways."""
