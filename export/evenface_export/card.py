"""The model card: what a model is for, what it was made of and how good it is, in Markdown.

Every number in it is in the manifest or follows from it. Draws nothing, measures nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml
from evenface_core.intervals import wilson_interval
from evenface_core.manifest import GroupQuality
from evenface_core.resampling import DEFAULT_SMOOTHING
from evenface_training.config import TrainingConfig

from evenface_export.card_attributes import write_section
from evenface_export.card_quality import quality_tables
from evenface_export.figures import Figures
from evenface_export.graphs import Precision
from evenface_export.latent_figures import LatentFigures
from evenface_export.markdown import bullets, paragraphs, percent, section, table
from evenface_export.parity import BATCHES, IMAGES, Deviation, worst_by_output
from evenface_export.provenance import portable_config

_KINDS = {
    "cnn": "a convolutional network that tells face images from other images",
    "vae": "a variational autoencoder (VAE) of face images",
    "dbvae": "a debiasing variational autoencoder (DB-VAE) of face images",
}
_ABILITIES = {
    "encode": "Encode: a face to the mean and log-variance of its latent.",
    "decode": "Decode: a latent to an image. Samples are decoded latents.",
    "classify": "Classify: whether an image shows a face, as a logit.",
    "colorize": "Colorize: colours for the grey images that it decodes, where a request asks.",
}
_CLASSIFIER_LIMITS = (
    (
        "It tells face from non-face, and nothing else: not who a person is, nor their gender, "
        "age, origin or mood. It must not be used to decide about people."
    ),
    "It judges one crop at a time and does not search a picture for faces.",
)
_LATENT_LIMITS = (
    (
        "Latents describe a person's face. Where they can be linked to a person they may be "
        "biometric data: store, share and delete them as such."
    ),
    (
        "Reconstructions and samples are smooth approximations, and no evidence of what anybody "
        "looks like."
    ),
    "Attribute vectors follow the labels and carry every bias of those labels.",
    (
        "Resampling weights raise what is rare in the latents. That is rare groups of people, but "
        "odd photographs too: look at what rises."
    ),
)
_LAST_LIMIT = "The figures hold for images like those below. Measure on yours before you use it."


@dataclass(frozen=True)
class CardFacts:
    """What a card is written from.

    Attributes:
        name: The model's name.
        version: Its version.
        config: The run's configuration.
        functions: What the bundle can do.
        precision: Of its graphs.
        figures: What was measured.
        deviations: How far the graphs are from torch.
        origin: Of `provenance.describe_origin`.
    """

    name: str
    version: str
    config: TrainingConfig
    functions: Sequence[str]
    precision: Precision
    figures: Figures
    deviations: Sequence[Deviation] = field(repr=False)
    origin: Mapping[str, str]


def write_card(facts: CardFacts) -> str:
    """Write the card."""
    sections = [
        _what(facts),
        _limits(facts.config),
        _data(facts),
        _quality(facts),
        _groups(facts.figures),
        _weights(facts),
        write_section(facts.figures.attributes),
        _parity(facts),
        _configuration(facts.config),
        _provenance(facts.origin),
    ]
    return paragraphs(*sections) + "\n"


def _what(facts: CardFacts) -> str:
    model = facts.config.model
    colour = "grey" if model.channels == 1 else "RGB"
    latents = f" Its latents have {model.latent_size} numbers." if model.generates else ""
    return section(
        f"# {facts.name}, version {facts.version}",
        f"This is {_KINDS[model.kind]}. It takes {colour} images of {model.image_size} × "
        f"{model.image_size} pixels.{latents}",
        bullets(*(_ABILITIES[name] for name in facts.functions)),
        _conditions(model.conditions),
    )


def _conditions(names: Sequence[str]) -> str:
    if not names:
        return ""
    return (
        "It is conditional: Decode and Sample take as attributes "
        f"{', '.join(f'`{name}`' for name in names)}, numbers as in the label columns of these "
        "names (there -1, 0 or 1); what a request leaves out is 0. Encode does not take them."
    )


def _limits(config: TrainingConfig) -> str:
    limits = [
        *(_CLASSIFIER_LIMITS if config.model.classifies else ()),
        *(_LATENT_LIMITS if config.model.generates else ()),
        _LAST_LIMIT,
    ]
    return section("## Intended use and limits", bullets(*limits))


def _data(facts: CardFacts) -> str:
    quality = facts.figures.quality
    columns = ("training_{}", "held_out_{}", "held_out_{}_trained_on")
    rows = [
        (label, *(f"{quality[column.format(key)]:,.0f}" for column in columns))
        for key, label in (("faces", "Faces"), ("nonfaces", "Non-faces"))
        if f"training_{key}" in quality
    ]
    return section(
        "## Trained on",
        facts.origin.get("data_note", "Its maker has not said where the images come from."),
        table(("", "Training", "Held out", "Held out with a copy in training"), rows),
        "A hash of its name decides to which part an image belongs, so that pictures that belong "
        "together (copies, crops of one photograph, several of one person) may lie in both: the "
        "more of them, the kinder the figures. The last column counts copies that are equal to "
        "the last pixel. SHA-256 of names and pixels: "
        f"`{facts.origin['data_digest']}`.",
    )


def _quality(facts: CardFacts) -> str:
    return section(
        "## Quality on held-out images",
        "Measured with the graphs of this bundle. The checkpoint (epoch "
        f"{facts.origin['epoch']} of {facts.config.optimizer.epochs}) may have been picked by its "
        "loss on the same images: expect slightly less on others.",
        *quality_tables(facts.figures, facts.config.model.latent_size, facts.origin),
    )


def _groups(figures: Figures) -> str:
    rows = [
        (_title(group), f"{group.count:,}", *_rate(group.true_positive_rate, group.count))
        for group in figures.groups
        if group.true_positive_rate is not None
    ]
    if not rows:
        return ""
    return section(
        "## Groups",
        "Share of each group's held-out faces that are taken for faces. Groups are the values of "
        "label columns; an image without a value is in none.",
        table(("Group", "Held-out faces", "True positive rate", "95 % interval"), rows),
        _over_groups(figures.quality),
    )


def _over_groups(quality: Mapping[str, float]) -> str:
    return (
        f"Over these groups, each counting alike: mean {percent(quality['mean_over_groups'])}, "
        f"variance {quality['variance_over_groups']:.2f} percent², lowest "
        f"{percent(quality['worst_group'])}."
    )


def _title(group: GroupQuality) -> str:
    return f"{group.column} = {group.value}"


def _rate(rate: float, count: int) -> tuple[str, str]:
    low, high = wilson_interval(rate, count)
    return percent(rate), f"{percent(low)} to {percent(high)}"


def _weights(facts: CardFacts) -> str:
    latents, quality = facts.figures.latents, facts.figures.quality
    if latents is None:
        return ""
    faces = f"{quality['training_faces']:,.0f}"
    weightings = latents.weightings
    sizes = [f"{item.weights.effective_sample_size:,.0f}" for item in weightings]
    return section(
        "## Resampling weights",
        "What the rules make of the training faces' latents, without a look at the labels. The "
        f"lab's rule (MIT 6.S191, lab 2): {latents.histogram.counts.shape[1]} bins, smoothing "
        f"{DEFAULT_SMOOTHING:g}. The effective sample size is (Σw)² / Σw². Shares are of all "
        "training faces, those without a label included.",
        _own_rule(facts.config) if len(weightings) > 1 else "",
        table(
            ("Group", "Share of the faces", *(f"Of the weight, {w.title}" for w in weightings)),
            [
                *_shares(facts.figures.groups, latents),
                ("Effective sample size", faces, *sizes),
            ],
        ),
    )


def _own_rule(config: TrainingConfig) -> str:
    resampling = config.resampling
    least = percent(resampling.min_effective_sample_size)
    rule = f"rule `{resampling.rule}`, smoothing {resampling.smoothing:g}"
    if resampling.group_column is not None:
        rule = f"rule `{resampling.rule}` by `{resampling.group_column}`"
    return (
        f"In training: {rule}, tempered where needed to an effective sample size of at least "
        f"{least} of the faces."
    )


def _shares(groups: Sequence[GroupQuality], latents: LatentFigures) -> list[list[str]]:
    return [
        [
            _title(group),
            percent(group.share),
            *(
                percent(item.shares.get(f"{group.column}={group.value}", 0.0))
                for item in latents.weightings
            ),
        ]
        for group in groups
    ]


def _parity(facts: CardFacts) -> str:
    rows = [
        (function, output, precision, _error(output, error))
        for (precision, function, output), error in worst_by_output(facts.deviations).items()
    ]
    return section(
        "## Agreement with the trained model",
        "Largest difference from torch in float32, over batches of "
        f"{', '.join(map(str, BATCHES))} held-out images, in ONNX Runtime on a CPU. Errors of "
        "numbers are divided by max(1, root mean square).",
        table(("Function", "Output", "Graph", "Largest error"), rows),
        f"The bundle has the graphs in {facts.precision}; the others were measured and thrown "
        "away. A CPU computes those in fp16 in float32 between casts: they show what rounding "
        "weights and some values to float16 costs, and no more.",
    )


def _error(output: str, error: float) -> str:
    if not math.isfinite(error):
        return "no finite numbers"
    return f"{error:.0f} of 255 levels" if output in IMAGES else f"{error:.1e}"


def _configuration(config: TrainingConfig) -> str:
    text = yaml.safe_dump(portable_config(config), sort_keys=False, default_flow_style=None)
    return section("## Configuration", f"```yaml\n{text}```")


def _provenance(origin: Mapping[str, str]) -> str:
    told = {"config", "colorizer_config", "data_note", "data_digest"}
    rows = [(key.replace("_", " "), f"`{text}`") for key, text in origin.items() if key not in told]
    return section(
        "## Provenance",
        table(("", ""), rows),
        "Revision and versions are those of the export; the training's may have been others.",
    )
