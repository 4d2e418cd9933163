"""From staged tables to verdicts: entities, links, clusters, behavioural tests, calibration, attribution."""
