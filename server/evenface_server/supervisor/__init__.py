"""The parent process: it accepts connections, and keeps workers alive to answer on them.

It opens no model itself, so that nothing in a model can take it down. This package imports none
of its modules by itself, as workers use those that speak with the parent.
"""
