"""Commands: what happens when somebody fits, tests, inverts, audits, sweeps or reports."""
