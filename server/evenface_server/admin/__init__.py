"""The admin service, and a command for it."""
