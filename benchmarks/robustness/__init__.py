"""Programs that try to wear a running server out, and say what came of it."""
