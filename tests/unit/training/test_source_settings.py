"""How a configuration names its images, and what it says where that cannot work."""

from pathlib import Path

import pytest
from evenface_core.errors import ConfigError
from evenface_training.config import TrainingConfig, load_config
from evenface_training.sources.settings import CelebaSettings, Hdf5Settings, SyntheticSettings


def load(tmp_path: Path, data: str, kind: str = "dbvae") -> TrainingConfig:
    path = tmp_path / "config.yaml"
    path.write_text(f"name: x\nmodel: {{kind: {kind}}}\ndata: {data}\n")
    return load_config(str(path))


def test_a_folder_stays_a_path(tmp_path: Path) -> None:
    config = load(tmp_path, "{faces: a, nonfaces: b}")
    assert (config.data.faces, config.data.nonfaces) == (Path("a"), Path("b"))
    assert TrainingConfig.model_validate(config.model_dump(mode="json")) == config


def test_a_mapping_with_a_kind_is_another_source(tmp_path: Path) -> None:
    config = load(tmp_path, "{faces: {kind: celeba, path: a}, nonfaces: b}")
    assert config.data.faces == CelebaSettings(kind="celeba", path=Path("a"))
    assert TrainingConfig.model_validate(config.model_dump(mode="json")) == config
    assert TrainingConfig.model_validate(config.model_dump()) == config


def test_drawn_images_need_no_path(tmp_path: Path) -> None:
    config = load(tmp_path, "{source: {kind: synthetic, faces: 9, frequencies: {tone: uniform}}}")
    assert isinstance(config.data.source, SyntheticSettings)
    assert (config.data.source.faces, config.data.source.frequencies.tone[10]) == (9, 0.1)
    assert TrainingConfig.model_validate(config.model_dump(mode="json")) == config
    assert TrainingConfig.model_validate(config.model_dump()) == config


def test_one_source_of_both_replaces_the_folders_of_a_ready_made_configuration() -> None:
    source = "data.source={kind: hdf5, path: a.h5}"
    config = load_config("lab-dbvae", ["data.faces=null", "data.nonfaces=null", source])
    assert config.data.source == Hdf5Settings(kind="hdf5", path=Path("a.h5"))
    assert (config.data.face_label.column, config.data.face_label.value) == ("label", "1")


@pytest.mark.parametrize(("given", "text"), [("1", "1"), ("true", "true"), ("face", "face")])
def test_the_value_of_a_face_is_the_text_of_its_label(
    tmp_path: Path, given: str, text: str
) -> None:
    source = f"{{source: {{kind: parquet, path: a}}, face_label: {{value: {given}}}}}"
    assert load(tmp_path, source).data.face_label.value == text


def test_columns_of_a_source_name_groups_and_conditions_without_a_labels_file(
    tmp_path: Path,
) -> None:
    faces = "faces: {kind: utkface, path: a}"
    assert load(tmp_path, f"{{{faces}, nonfaces: b, group_columns: [race]}}").data.group_columns
    source = "{source: {kind: hdf5, path: a}, group_columns: [label]}"
    assert load(tmp_path, source).data.labels is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{faces: {kind: celebaa, path: a}}", r"'data\.faces' is .*kind, one of celeba, fairface"),
        ("{faces: 3}", r"'data\.faces' is 3: give a folder's path, or a mapping with a kind"),
        ("{faces: {kind: celeba}}", r"missing key 'data\.faces\.path'"),
        ("{faces: {kind: celeba, pth: a}}", r"'data\.faces\.pth' \(did you mean 'path'\?\)"),
        (
            "{source: {kind: hdf5, path: a, channel_order: brg}}",
            r"'data\.source\.channel_order' is 'brg': .*'bgr' or 'rgb'",
        ),
        ("{}", r"'data' is {}: give either faces \(and nonfaces\) or source"),
        ("{faces: a, source: b}", "give either faces"),
        ("{faces: {kind: hdf5, path: a}, nonfaces: b}", "kind hdf5 holds faces and non-faces"),
        ("{faces: {kind: synthetic}, nonfaces: b}", r"faces\.nonfaces is 6000: .* it must be 0"),
        ("{faces: a, nonfaces: {kind: synthetic}}", r"nonfaces\.faces is 6000: .* it must be 0"),
        ("{source: {kind: synthetic, faces: -1}}", r"'data\.source\.faces' is -1: .* 0"),
        (
            "{source: {kind: synthetic, frequencies: {hat: {cap: 0.5}}}}",
            r"'data\.source\.frequencies\.hat' .*the shares add up to 0\.5, not to 1",
        ),
        (
            "{source: {kind: synthetic, frequencies: {hat: {crown: 1}}}}",
            r"unknown crown; known are none, beanie, cap, brim, scarf",
        ),
        (
            "{source: {kind: synthetic, frequencies: {hat: {cap: 1.5, none: -0.5}}}}",
            r"a share is below 0 \(none: -0\.5\)",
        ),
        ("{source: b, nonfaces: c}", "source holds the non-faces too; nonfaces must be null"),
        ("{faces: a, nonfaces: b, group_key: {}}", r"'data\.group_key' is {}: give either column"),
        (
            "{faces: a, nonfaces: b, group_key: {pattern: '('}}",
            r"'data\.group_key\.pattern' is '\(': no regular expression",
        ),
    ],
)
def test_a_source_that_cannot_work_is_refused_with_its_key(
    tmp_path: Path, data: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, data)
