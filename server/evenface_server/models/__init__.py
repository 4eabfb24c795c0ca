"""The models that are served, and how they change while serving. Transport-free."""
