"""How fast graphs run by themselves: no server, no network."""
