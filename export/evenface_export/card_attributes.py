"""The section of a model card on attribute vectors, which may come and go in a bundle's life."""

from collections.abc import Mapping

import numpy as np
from evenface_core.manifest import AttributeQuality

from evenface_export.attributes import AttributeVector
from evenface_export.markdown import section, table

_TITLE = "## Attribute vectors"
_BEFORE = "\n## Agreement with the trained model\n"


def write_section(attributes: Mapping[str, AttributeVector]) -> str:
    """Write the section; empty where there are no attributes."""
    if not attributes:
        return ""
    rows = [
        (
            f"`{name}`",
            _sides(found.quality.positives, found.quality.negatives),
            _sides(found.quality.held_out_positives, found.quality.held_out_negatives),
            _auc(found.quality),
            f"{np.linalg.norm(found.values):.2f}",
        )
        for name, found in attributes.items()
    ]
    titles = ("Attribute", "Training faces with / without", "Held out", "AUC", "Length")
    return section(
        _TITLE,
        "Directions that Decode and Sample move a latent along, by name: that of Fisher's "
        "discriminant (with a covariance shrunk as by Ledoit and Wolf) or that from mean to mean, "
        "whichever changes images less. AUC says how well the discriminant tells held-out faces "
        "apart. Strength 1 makes a typical face without the attribute a typical one with it, as "
        "the encoder sees the decoded image.",
        table(titles, rows),
    )


def replace_section(card: str, attributes: Mapping[str, AttributeVector]) -> str:
    """Put the section of these attributes into a card, in place of the one that it may have."""
    head, *parts = card.split("\n## ")
    sections = [f"\n## {part}" for part in parts]
    kept = [part for part in sections if not part.startswith(f"\n{_TITLE}\n")]
    place = next(n for n, part in enumerate(kept) if part.startswith(_BEFORE))
    text = write_section(attributes)
    return "".join([head, *kept[:place], *([f"\n{text}\n"] if text else []), *kept[place:]])


def _sides(positives: int, negatives: int) -> str:
    return f"{positives:,} / {negatives:,}"


def _auc(quality: AttributeQuality) -> str:
    return "unknown" if quality.auc is None else f"{quality.auc:.3f}"
