"""How fast evenface serves, side by side with the machine's limits and with other model servers."""
