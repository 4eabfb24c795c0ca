"""How long tests wait for what has to come."""

from typing import Final

# Seconds. It costs nothing, as a wait ends when what it is for has come; and a machine that many
# programs share has been seen to take half a minute to start a server.
PATIENCE: Final = 120.0
