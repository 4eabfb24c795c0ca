"""The command `info`."""

from argparse import Namespace

from evenface_client import AttributeQuality, Client, GroupQuality, ModelDetails, ModelInfo
from evenface_client.cli.report import say

_MEBI = 2**20


def info(client: Client, args: Namespace) -> int:
    """Show models and limits, or one model in full."""
    if args.model or args.version:
        _show_details(client.model(args.model, args.version))
        return 0
    models, limits = client.models(), client.limits()
    say(f"server   {args.server}")
    say(
        f"limits   {limits.max_items_per_request} items a request, "
        f"{limits.max_message_bytes / _MEBI:g} MiB a message, "
        f"{limits.max_pixels_per_image} pixels an image"
    )
    for model in models:
        say(f"model    {_summary(model)}")
    return 0


def _summary(model: ModelInfo) -> str:
    size = f"{model.image_size}×{model.image_size}×{model.channels}"
    latents = f", {model.latent_size} latents" if model.latent_size else ""
    mark = ", default" if model.is_default else ""
    can = " ".join(model.functions)
    return f"{model.name}/{model.version}: {model.kind}, {size}{latents}; {can}{mark}"


def _show_details(details: ModelDetails) -> None:
    model = details.info
    say(f"model       {_summary(model)}")
    if model.manifest_digest:
        say(f"manifest    SHA-256 {model.manifest_digest}")
    say(f"threshold   {model.decision_threshold:.4g}")
    if model.attributes:
        say(f"attributes  {', '.join(model.attributes)}")
    for attribute in details.attributes:
        say(f"attribute   {attribute.name}: {_worth(attribute)}")
    for name, figure in sorted(model.quality.items()):
        say(f"quality     {name} = {figure:.4g}")
    for group in details.groups:
        say(f"group       {group.column} = {group.value}: {_figures(group)}")
    for name, origin in sorted(model.provenance.items()):
        say(f"provenance  {name} = {origin}")


def _worth(attribute: AttributeQuality) -> str:
    auc = "AUC unknown" if attribute.auc is None else f"AUC {attribute.auc:.3f} on held-out faces"
    return f"{auc}, {attribute.positives} training faces with it, {attribute.negatives} without"


def _figures(group: GroupQuality) -> str:
    parts = [f"{group.count} held-out faces"]
    if group.true_positive_rate is not None:
        parts.append(f"true positive rate {group.true_positive_rate:.3f}")
    parts.append(f"{group.share:.1%} of the training faces")
    if group.weighted_share is not None:
        parts.append(f"{group.weighted_share:.1%} of the weight")
    return ", ".join(parts)
