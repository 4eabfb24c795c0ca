"""How fast training is: beside the lab's own loop, beside pythae, on one device."""
