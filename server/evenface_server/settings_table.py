"""Makes docs/settings.md from the settings: `python -m evenface_server.settings_table`."""

from evenface_server.settings import Settings, default_of, option_of, variable_of

_HEAD = """# Settings of the server

Made from `evenface_server/settings.py` by `python -m evenface_server.settings_table`; a test
compares the two. The command line wins over the environment, the environment over the default.

| option | environment | default | what it does |
|---|---|---|---|
"""


def render() -> str:
    """Return the page as Markdown."""
    rows = (
        f"| `{option_of(name)}` | `{variable_of(name)}` | `{default_of(field)}` "
        f"| {field.description} |\n"
        for name, field in Settings.model_fields.items()
    )
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - its purpose
