"""A loop that runs a coding agent until an independent accuracy gate agrees that the work is done (docs/harness.md)."""
