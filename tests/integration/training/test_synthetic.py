"""Drawn images as a source: no files, labels of everything, kept like the others."""

from collections.abc import Callable

import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.sources import drawn
from evenface_training.synthetic import SyntheticConfig, render_faces, render_nonfaces
from support.training_data import both_rows, group_sizes

BothMaker = Callable[..., TrainingConfig]
ConfigMaker = Callable[..., TrainingConfig]

SOURCE = {"kind": "synthetic", "faces": 50, "nonfaces": 30, "seed": 3}


def test_faces_and_non_faces_are_drawn_with_their_labels(both_of: BothMaker) -> None:
    config = both_of(SOURCE, group_columns=["tone", "pose"])
    data = load_data(config)
    expected = SyntheticConfig(seed=3, size=config.model.image_size)
    faces, others = render_faces(expected, 0, 50), render_nonfaces(expected, 0, 30)
    np.testing.assert_array_equal(data.faces.images[:50], faces.images)
    np.testing.assert_array_equal(data.faces.images[50:], others.images)
    assert both_rows(data) == (set(range(50)), set(range(50, 80)))
    assert data.labels["tone"].texts()[:50].tolist() == faces.labels["tone"].astype(str).tolist()
    assert data.labels["kind"].texts()[50:].tolist() == others.labels["kind"].tolist()
    assert group_sizes(data)["pose=frontal"] == (faces.labels["pose"] == "frontal").sum()


def test_drawn_images_are_kept_until_a_setting_or_the_renderer_changes(
    both_of: BothMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listing(**changed: object) -> str:
        return str(load_data(both_of({**SOURCE, **changed})).faces.source.listing)

    first = listing()
    with monkeypatch.context() as patch:
        patch.delattr(drawn.DrawnSource, "items")  # they are found, not drawn
        assert listing() == first
    others = [listing(seed=4), listing(faces=51), listing(frequencies={"hat": {"cap": 1}})]
    monkeypatch.setattr(drawn, "VERSION", drawn.VERSION + 1)
    assert len({first, *others, listing()}) == 5


def test_faces_and_non_faces_may_be_sources_of_their_own(make_config: ConfigMaker) -> None:
    one: dict[str, object] = {
        "faces": {**SOURCE, "nonfaces": 0},
        "nonfaces": {**SOURCE, "faces": 0},
        "labels": None,
        "group_columns": ["light"],
    }
    data = load_data(make_config(data=one))
    assert data.nonfaces is not None
    assert (len(data.faces.images), len(data.nonfaces.images)) == (50, 30)


def test_a_model_of_small_grey_images_gets_them_from_the_smallest_that_can_be_drawn(
    make_config: ConfigMaker,
) -> None:
    model = {"architecture": "mlp", "image_size": 30, "channels": 1}
    source: dict[str, object] = {"faces": None, "nonfaces": None, "labels": None, "source": SOURCE}
    data = load_data(make_config(model=model, data={**source, "group_columns": ["tone"]}))
    assert data.faces.images.shape == (80, 30, 30, 1)


def test_no_image_at_all_is_refused(both_of: BothMaker) -> None:
    with pytest.raises(DataError, match="synthetic: faces and nonfaces are both 0"):
        load_data(both_of({**SOURCE, "faces": 0, "nonfaces": 0}))
