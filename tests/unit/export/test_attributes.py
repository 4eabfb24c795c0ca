"""Attribute vectors: which faces have an attribute, and the direction between them."""

from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import ExportError
from evenface_core.manifest import AttributeQuality
from evenface_export.attributes import (
    LEAST_MEMBERS,
    AttributeVector,
    Bools,
    Sides,
    attribute_name,
    discriminant,
    find_vectors,
    split_sides,
)
from evenface_export.card_attributes import replace_section, write_section
from evenface_export.sessions import Float32, Int64, UInt8
from evenface_training.data import SplitImages
from evenface_training.sources.cache import DecodedImages
from evenface_training.sources.columns import LabelColumn

RNG = np.random.default_rng(0)
COUNT, SIZE = 400, 4
# The attribute is in dimension 0; dimension 1 varies much more and leans towards it.
HAS = np.arange(COUNT) % 2 == 0
LATENTS: Float32 = (
    RNG.normal(size=(COUNT, SIZE)) * [0.5, 4, 1, 1] + HAS[:, None] * [2.0, 2, 0, 0]
).astype(np.float32)
KEPT = 0.5


def column(*texts: str) -> LabelColumn:
    values = tuple(dict.fromkeys(texts))
    return LabelColumn(values, np.array([values.index(text) for text in texts], np.uint8))


class Halver:
    """A model whose images are the bytes of latents, and whose encoder gives back half of them.

    What changes in an image grows with the move. A blind one's images do not show dimension 0.
    """

    def __init__(self, *, blind: bool = False) -> None:
        self._shown = np.array([0 if blind else 1, 1, 1, 1], np.float32)
        self._seen: list[Float32] = []

    def decode(self, latents: Float32) -> UInt8:
        self._seen.append(latents * self._shown)
        levels = (128 + 8 * self._seen[-1]).clip(0, 255).astype(np.uint8)
        marks = np.full((len(latents), 1), len(self._seen), np.uint8)
        return np.concatenate([levels, marks], axis=1)[:, None, None]

    def encode(self, images: UInt8, rows: Int64) -> tuple[Float32, Float32]:
        which = int(images[0, 0, 0, -1])
        mean = LATENTS[rows] if which == 0 else KEPT * self._seen[which - 1][rows]
        return mean.astype(np.float32), np.zeros_like(mean)


@pytest.fixture
def faces() -> SplitImages:
    images = np.zeros((COUNT, 1, 1, 5), np.uint8)
    source = DecodedImages(
        path=Path("faces"),
        images=images,
        files=tuple(str(number) for number in range(COUNT)),
        broken=(),
        labels={},
        partitions=None,
        image_digests=np.arange(COUNT, dtype=np.uint64),
        digest="",
        listing=Path("listing.json"),
    )
    return SplitImages(source, np.arange(300), np.arange(300, COUNT))


def find(faces: SplitImages, **attributes: Sides) -> dict[str, AttributeVector]:
    return find_vectors(Halver(), faces, LATENTS[faces.train], attributes)


@pytest.mark.parametrize(
    ("texts", "positive"),
    [
        (("1", "0", "", "1"), [1, 0, 0, 1]),
        (("1", "-1", "-1", ""), [1, 0, 0, 0]),
        (("True", "false", "", "true"), [1, 0, 0, 1]),
        (("1", "1", "", "1"), [1, 1, 0, 1]),
    ],
)
def test_a_column_of_yes_and_no_is_one_attribute(texts: tuple[str, ...], positive: Bools) -> None:
    (sides,) = split_sides({"Smiling": column(*texts)}, ["Smiling"]).values()
    assert sides.positive.tolist() == [bool(value) for value in positive]
    unknown = np.array([text == "" for text in texts])
    assert (sides.negative == ~(sides.positive | unknown)).all()


def test_each_text_is_an_attribute_against_all_others() -> None:
    found = split_sides({"tone": column("gray", "color", "", "tinted")}, ["tone"])
    assert set(found) == {"tone-gray", "tone-color", "tone-tinted"}
    assert found["tone-gray"].positive.tolist() == [True, False, False, False]
    assert found["tone-gray"].negative.tolist() == [False, True, False, True]


def test_of_two_texts_the_rarer_is_the_attribute() -> None:
    found = split_sides({"gender": column("M", "F", "", "M")}, ["gender"])
    assert set(found) == {"gender-f"}
    assert found["gender-f"].positive.tolist() == [False, True, False, False]
    assert found["gender-f"].negative.tolist() == [True, False, False, True]


def test_many_numbers_are_split_at_their_median() -> None:
    years = [*(str(1800 + year) for year in range(99)), ""]
    (sides,) = split_sides({"last_year": column(*years)}, ["last_year"]).values()
    assert sides.positive.tolist() == [year > 49 for year in range(99)] + [False]
    assert sides.negative.tolist() == [year <= 49 for year in range(99)] + [False]


def test_what_makes_no_attribute_is_named() -> None:
    known = {"tone": column("gray"), "name": column(*(f"n{number}" for number in range(51)))}
    with pytest.raises(ExportError, match="no label column 'tune'; there are name, tone"):
        split_sides(known, ["tune"])
    with pytest.raises(ExportError, match="column 'name' has 51 values, which are no numbers"):
        split_sides(known, ["name"])


@pytest.mark.parametrize(
    ("group", "name"), [("gender=F", "gender-f"), ("Hair Style=Très long!", "hair-style-tr-s-long")]
)
def test_attributes_have_plain_lower_case_names(group: str, name: str) -> None:
    assert attribute_name(group) == name


def test_the_vector_leaves_alone_what_only_goes_along(faces: SplitImages) -> None:
    vector = np.array(find(faces, smiling=Sides(HAS, ~HAS))["smiling"].values)
    assert vector[0] > 0
    assert abs(vector[1:]).max() < 0.15 * vector[0]
    means = LATENTS[HAS].mean(axis=0) - LATENTS[~HAS].mean(axis=0)
    assert abs(means[1]) > 0.5 * means[0]


def test_what_the_decoder_does_not_show_is_not_moved_alone(faces: SplitImages) -> None:
    sides = {"smiling": Sides(HAS, ~HAS)}
    vector = find_vectors(Halver(blind=True), faces, LATENTS[faces.train], sides)["smiling"].values
    train = np.arange(COUNT) < 300
    means = LATENTS[HAS & train].mean(axis=0) - LATENTS[~HAS & train].mean(axis=0)
    np.testing.assert_allclose(vector, means, atol=1e-5)


def test_strength_one_is_what_the_encoder_finds_of_a_typical_positive(faces: SplitImages) -> None:
    found = find(faces, smiling=Sides(HAS, ~HAS))["smiling"]
    vector = np.array(found.values)
    unit = vector / np.linalg.norm(vector)
    train = np.arange(COUNT) < 300
    gap = unit @ (LATENTS[HAS & train].mean(axis=0) - LATENTS[~HAS & train].mean(axis=0))
    # The encoder gives half of a move back, so that it must be twice the gap.
    assert np.linalg.norm(vector) == pytest.approx(gap / KEPT, rel=1e-4)


def test_its_worth_is_measured_on_held_out_faces(faces: SplitImages) -> None:
    known = np.arange(COUNT) % 5 > 0
    quality = find(faces, smiling=Sides(HAS & known, ~HAS & known))["smiling"].quality
    assert quality.auc is not None
    assert 0.98 < quality.auc <= 1
    assert (quality.positives, quality.negatives) == (120, 120)
    assert (quality.held_out_positives, quality.held_out_negatives) == (40, 40)
    nobody = Sides(HAS & (np.arange(COUNT) < 300), ~HAS)
    assert find(faces, smiling=nobody)["smiling"].quality.auc is None


def test_too_few_on_one_side_make_no_vector(faces: SplitImages) -> None:
    few = np.arange(COUNT) < LEAST_MEMBERS - 1
    enough = np.arange(COUNT) < LEAST_MEMBERS
    assert find(faces, few=Sides(few, ~few), rest=Sides(~few, few)) == {}
    assert set(find(faces, enough=Sides(enough, ~enough))) == {"enough"}


def test_fewer_faces_than_dimensions_will_do() -> None:
    rng = np.random.default_rng(1)
    positives = rng.normal(size=(30, 200)).astype(np.float32)
    positives[:, 0] += 4
    negatives = rng.normal(size=(30, 200)).astype(np.float32)
    normal = discriminant(positives, negatives)
    assert np.abs(normal).argmax() == 0
    assert normal[0] > 0


def test_the_section_of_a_card_is_put_in_replaced_and_taken_out() -> None:
    def vectors(auc: float | None) -> dict[str, AttributeVector]:
        quality = AttributeQuality(
            auc=auc, positives=1234, negatives=20, held_out_positives=3, held_out_negatives=0
        )
        return {"tone-color": AttributeVector((3.0, 4.0), quality)}

    plain = "# m\n\nText.\n\n## Groups\n\nx\n\n## Agreement with the trained model\n\ny\n"
    first = replace_section(plain, vectors(0.9876))
    assert "| `tone-color` | 1,234 / 20 | 3 / 0 | 0.988 | 5.00 |" in first
    assert first.index("## Groups") < first.index("## Attribute vectors") < first.index("## Agree")
    second = replace_section(first, vectors(None))
    assert second.count("## Attribute vectors") == 1
    assert "| unknown |" in second
    assert replace_section(second, {}) == plain
    assert write_section({}) == ""
