"""What should be served, given what is found, ordered and served."""

import logging
from pathlib import Path

import pytest
from evenface_core.errors import ConfigError, InvalidInput, ModelNotFound, OrderRefused
from evenface_server.models.plan import BundleRef, ModelKey, Plan
from evenface_server.models.planner import Planner
from evenface_server.models.watch import Found, View

ONE, TWO, THREE = (ModelKey("faces", version) for version in ("1", "2", "3"))
OTHER = ModelKey("other", "1")


def found(key: ModelKey, content: str = "a") -> Found:
    return Found(key, Path("models", *key), (content,))


def ref(key: ModelKey, load: int = 1) -> BundleRef:
    return BundleRef(*key, digest="d", load=load, path=f"copy/{key}", source=f"models/{key}")


def view(*now: Found) -> View:
    sight = {one.key: one for one in now}
    return View(sight, sight)


def serve(planner: Planner, *founds: Found) -> list[ModelKey]:
    """Look, find everything good, and serve it; the versions that were loaded."""
    new = planner.see(view(*founds))
    for one in new:
        planner.note(one, None)
    planner.adopt(planner.draft({one.key: ref(one.key, planner.plan.number + 1) for one in new}))
    return [one.key for one in new]


def keys(plan: Plan) -> list[ModelKey]:
    return [bundle.key for bundle in plan.bundles]


def planner_with(*served: ModelKey, default: str | None = None) -> Planner:
    planner = Planner(default)
    serve(planner, *map(found, served))
    return planner


def test_what_is_found_is_loaded_once_and_again_when_it_changes() -> None:
    planner = Planner(None)
    assert serve(planner, found(ONE), found(TWO)) == [ONE, TWO]
    assert serve(planner, found(ONE), found(TWO)) == []
    assert serve(planner, found(ONE), found(TWO, "b")) == [TWO]


def test_what_differs_between_two_looks_is_let_be() -> None:
    planner = planner_with(ONE)
    growing = View({ONE: found(ONE), TWO: found(TWO, "b")}, {ONE: found(ONE), TWO: found(TWO)})
    assert planner.see(growing) == []
    assert [one.key for one in planner.see(view(found(ONE), found(TWO, "b")))] == [TWO]


def test_a_folder_that_was_there_one_look_ago_does_not_count_as_gone() -> None:
    planner = planner_with(ONE, TWO)
    planner.see(View({TWO: found(TWO)}, {ONE: found(ONE), TWO: found(TWO)}))
    assert keys(planner.draft({})) == [ONE, TWO]
    planner.see(view(found(TWO)))
    assert keys(planner.draft({})) == [TWO]


def test_versions_are_in_the_order_of_their_numbers() -> None:
    versions = [ModelKey("faces", version) for version in ("1.10", "1.9", "1")]
    assert keys(planner_with(*versions).plan) == [versions[2], versions[1], versions[0]]


def test_a_refused_bundle_leaves_the_one_before_in_place_and_is_not_tried_again() -> None:
    planner = planner_with(ONE)
    before = planner.plan
    (changed,) = planner.see(view(found(ONE, "bad")))
    planner.note(changed, "damaged")
    assert planner.draft({}).is_as(before)
    assert planner.refusals == {ONE: "damaged"}
    assert planner.see(view(found(ONE, "bad"))) == []
    planner.retry()
    assert planner.see(view(found(ONE, "bad"))) == [changed]


def test_a_refusal_is_forgotten_with_the_folder_and_with_a_good_bundle() -> None:
    planner = planner_with(ONE)
    for bad in planner.see(view(found(ONE, "bad"), found(TWO, "bad"))):
        planner.note(bad, "damaged")
    serve(planner, found(ONE, "good"))
    assert planner.refusals == {}


def test_the_default_model_keeps_its_newest_version_when_all_its_folders_are_gone() -> None:
    planner = planner_with(ONE, TWO, OTHER)
    serve(planner, found(OTHER))
    assert keys(planner.plan) == [TWO, OTHER]
    assert planner.orphans == {TWO}
    assert planner.plan.default == "faces"


def test_a_version_whose_folder_is_gone_leaves_once_another_serves_the_default_model() -> None:
    planner = planner_with(ONE, OTHER)
    serve(planner, found(OTHER))
    serve(planner, found(OTHER), found(TWO))
    assert keys(planner.plan) == [TWO, OTHER]
    assert planner.orphans == frozenset()


def test_a_model_that_is_not_the_default_goes_with_its_folder() -> None:
    planner = planner_with(ONE, OTHER)
    serve(planner, found(ONE))
    assert keys(planner.plan) == [ONE]


def test_without_a_default_what_is_served_stays_when_nothing_good_takes_its_place() -> None:
    cats, dogs, new = (ModelKey(name, "1") for name in ("cats", "dogs", "new"))
    planner = planner_with(cats, dogs)
    assert planner.plan.default is None
    (bad,) = planner.see(view(found(new)))
    planner.note(bad, "damaged")
    assert keys(planner.draft({})) == [cats, dogs]


def test_an_empty_model_directory_unloads_nothing_and_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    planner = planner_with(ONE, TWO, OTHER)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert planner.see(view()) == []
            assert keys(planner.draft({})) == [ONE, TWO, OTHER]
    assert [r.message for r in caplog.records] == [
        "the model directory is empty; what is served stays"
    ]


def test_a_directory_that_fills_again_unloads_nothing_at_the_first_look() -> None:
    planner = planner_with(ONE, TWO, OTHER)
    planner.see(view())
    planner.see(View({ONE: found(ONE)}, {}))
    assert keys(planner.draft({})) == [ONE, TWO, OTHER]
    planner.see(view(found(ONE)))
    assert keys(planner.draft({})) == [ONE]


def test_the_default_stays_what_it_was_though_another_choice_would_be_made_now() -> None:
    cats, dogs = ModelKey("cats", "1"), ModelKey("dogs", "1")
    planner = planner_with(cats)
    assert planner.plan.default == "cats"
    serve(planner, found(cats), found(dogs))
    assert planner.plan.default == "cats"


def test_an_unknown_default_is_an_error() -> None:
    with pytest.raises(ConfigError, match="did you mean 'faces'"):
        planner_with(ONE, OTHER, default="fases")


def test_an_unloaded_version_stays_out_until_it_is_loaded_by_order() -> None:
    planner = planner_with(ONE, TWO)
    planner.unload(TWO)
    planner.adopt(planner.draft({}))
    assert keys(planner.plan) == [ONE]
    assert planner.see(view(found(ONE), found(TWO, "changed"))) == []
    planner.adopt(planner.draft({TWO: ref(TWO, 9)}))
    assert keys(planner.plan) == [ONE, TWO]
    assert planner.unloaded == set()


def test_an_unloaded_version_comes_back_when_its_folder_is_made_anew() -> None:
    planner = planner_with(ONE, TWO)
    planner.unload(TWO)
    serve(planner, found(ONE))
    assert planner.unloaded == set()
    assert serve(planner, found(ONE), found(TWO)) == [TWO]


def test_the_last_version_of_the_default_model_cannot_be_unloaded() -> None:
    planner = planner_with(ONE, OTHER)
    with pytest.raises(OrderRefused, match="faces/1 is the last version of the default model"):
        planner.unload(ONE)
    assert planner.unloaded == set()
    planner.unload(OTHER)


def test_the_only_model_cannot_be_unloaded_where_there_is_no_default() -> None:
    cats, dogs = ModelKey("cats", "1"), ModelKey("dogs", "1")
    planner = planner_with(cats, dogs)
    planner.unload(cats)
    planner.adopt(planner.draft({}))
    assert planner.plan.default == "dogs"
    with pytest.raises(OrderRefused, match="dogs/1 is the last"):
        planner.unload(dogs)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (THREE, "model 'faces' has no version '3' that is served; there are: 1, 2"),
        (ModelKey("none", "1"), "no model 'none' is served; there are: faces"),
    ],
)
def test_what_is_not_served_cannot_be_unloaded_or_given_traffic(
    key: ModelKey, message: str
) -> None:
    planner = planner_with(ONE, TWO)
    with pytest.raises(ModelNotFound, match=message):
        planner.unload(key)
    with pytest.raises(ModelNotFound, match=message):
        planner.set_traffic(key.name, {key.version: 1})


def test_weights_are_part_of_the_plan_until_they_are_taken_back() -> None:
    planner = planner_with(ONE, TWO)
    planner.set_traffic("faces", {"1": 90, "2": 10})
    assert planner.draft({}).traffic == {"faces": {"1": 90, "2": 10}}
    planner.set_traffic("faces", {})
    assert planner.draft({}).traffic == {}


@pytest.mark.parametrize(
    ("weights", "field"),
    [({"1": 0, "2": 0}, "weights"), ({"1": 1_000_001, "2": 1}, "weights.1")],
)
def test_weights_that_cannot_be_are_refused_and_change_nothing(
    weights: dict[str, int], field: str
) -> None:
    planner = planner_with(ONE, TWO)
    planner.set_traffic("faces", {"1": 1})
    with pytest.raises(InvalidInput) as caught:
        planner.set_traffic("faces", weights)
    assert caught.value.field == field
    assert planner.draft({}).traffic == {"faces": {"1": 1}}


def test_weights_to_begin_with_keep_a_new_version_from_taking_all_traffic() -> None:
    planner = Planner(None, {"faces": {"1": 90, "2": 10}})
    serve(planner, found(ONE))
    assert planner.plan.traffic == {"faces": {"1": 90, "2": 10}}
    planner.set_traffic("faces", {})
    assert planner.draft({}).traffic == {}


def test_a_plan_survives_its_way_through_json() -> None:
    planner = planner_with(ONE, TWO)
    planner.set_traffic("faces", {"1": 1, "2": 3})
    plan = planner.draft({})
    assert Plan.from_json(plan.to_json()) == plan
