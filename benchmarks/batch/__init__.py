"""How fast scoring jobs are: each engine beside the bare session, and with more workers."""
