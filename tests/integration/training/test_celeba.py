"""CelebA in its authors' layout."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from evenface_core.errors import DataError
from evenface_core.images import load_image
from evenface_training.config import TrainingConfig
from evenface_training.data import load_data
from evenface_training.sources.celeba import CelebaSource
from support.datasets import write_celeba
from support.training_data import group_sizes, names

VaeMaker = Callable[..., TrainingConfig]


def test_celeba_keeps_its_partition_and_leaves_its_test_images_alone(
    vae_of: VaeMaker, tmp_path: Path
) -> None:
    folder = write_celeba(tmp_path / "celeba", "0010012202")
    data = load_data(vae_of({"kind": "celeba", "path": folder}))
    assert names(data, "train") == [f"00000{n}.jpg" for n in (1, 2, 4, 5)] + ["000009.jpg"]
    assert names(data, "validation") == ["000003.jpg", "000006.jpg"]
    assert len(data.faces.images) == 7


def test_celeba_s_attributes_and_persons_are_label_columns(
    vae_of: VaeMaker, tmp_path: Path
) -> None:
    folder = write_celeba(tmp_path / "celeba", "00000011")
    config = vae_of({"kind": "celeba", "path": folder}, group_columns=["Male", "identity"])
    data = load_data(config)
    assert set(data.labels) == {"Male", "Smiling", "Young", "identity"}
    assert data.labels["Smiling"].texts().tolist() == ["-1", "-1", "1", "1"] * 2
    assert group_sizes(data)["Male=1"] == group_sizes(data)["Male=-1"] == 4
    assert group_sizes(data)["identity=2881"] == 2
    pixels = load_image((folder / "img_align_celeba" / "000003.jpg").read_bytes(),
                        config.preprocessing)  # fmt: skip
    np.testing.assert_array_equal(data.faces.images[2], pixels)


def test_celeba_is_found_in_the_folders_of_its_archives(vae_of: VaeMaker, tmp_path: Path) -> None:
    folder = write_celeba(tmp_path / "celeba")
    for below, name in (
        ("Img", "img_align_celeba"),
        ("Anno", "list_attr_celeba.txt"),
        ("Eval", "list_eval_partition.txt"),
    ):
        (folder / below).mkdir()
        (folder / name).rename(folder / below / name)
    (folder / "identity_CelebA.txt").unlink()
    data = load_data(vae_of({"kind": "celeba", "path": folder}))
    assert len(data.faces.images) == 9
    assert "identity" not in data.labels


def test_celeba_s_lists_are_read_no_further_than_its_images(tmp_path: Path) -> None:
    folder = write_celeba(tmp_path / "celeba", "0" * 2000)
    attributes = folder / "list_attr_celeba.txt"
    attributes.write_text(attributes.read_text() + "broken\n")
    items = CelebaSource(folder).items()
    assert next(items).name == "000001.jpg"
    with pytest.raises(DataError, match=r"line 2003 \(broken\) has 0 values instead of 3"):
        list(items)


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("list_eval_partition.txt", ("000002.jpg 0", "000002.jpg 3"), "of 000002.jpg is '3', none"),
        ("list_eval_partition.txt", ("000002.jpg 0\n", ""), "differ at image 2: list_attr.*000002"),
        ("list_eval_partition.txt", ("000010.jpg 2\n", ""), "list_eval_partition.txt has no more"),
        ("list_eval_partition.txt", ("000002.jpg 0", "000002.jpg"), r"line 2 .* has 0 values inst"),
        ("list_attr_celeba.txt", ("000002.jpg  1", "000002.jpg  2"), "Male of 000002.jpg is '2'"),
        (
            "list_attr_celeba.txt",
            ("000002.jpg  1", "000002.jpg"),
            "line 4 .* 2 values instead of 3",
        ),
        ("list_attr_celeba.txt", ("10\n", "11\n"), "10 images, but its first line says 11"),
        ("list_attr_celeba.txt", ("10\n", ""), "the first line is 'Male Smiling Young'"),
        ("identity_CelebA.txt", ("000001.jpg", "000100.jpg"), "differ at image 1: .*000100"),
    ],
)
def test_celeba_lists_that_are_cut_or_changed_are_an_error(
    vae_of: VaeMaker, tmp_path: Path, file: str, change: tuple[str, str], message: str
) -> None:
    folder = write_celeba(tmp_path / "celeba")
    text = (folder / file).read_text()
    assert change[0] in text
    (folder / file).write_text(text.replace(*change, 1))
    with pytest.raises(DataError, match=message):
        load_data(vae_of({"kind": "celeba", "path": folder}))


@pytest.mark.parametrize(
    "missing", ["img_align_celeba", "list_attr_celeba.txt", "list_eval_partition.txt"]
)
def test_a_part_of_celeba_that_is_missing_is_named(
    vae_of: VaeMaker, tmp_path: Path, missing: str
) -> None:
    folder = write_celeba(tmp_path / "celeba")
    (folder / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=f"no {missing} in it"):
        load_data(vae_of({"kind": "celeba", "path": folder}))


def test_an_image_of_celeba_that_is_missing_is_broken(vae_of: VaeMaker, tmp_path: Path) -> None:
    folder = write_celeba(tmp_path / "celeba")
    (folder / "img_align_celeba" / "000002.jpg").unlink()
    data = load_data(vae_of({"kind": "celeba", "path": folder}, max_broken_fraction=0.2))
    (broken,) = data.faces.source.broken
    assert (broken.file, broken.problem) == ("000002.jpg", "No such file or directory")
    with pytest.raises(DataError, match="1 of 9 files are broken"):
        load_data(vae_of({"kind": "celeba", "path": folder}))


@pytest.mark.parametrize("changed", ["list_attr_celeba.txt", "img_align_celeba/000001.jpg"])
def test_a_changed_file_of_celeba_is_decoded_anew(
    vae_of: VaeMaker, tmp_path: Path, changed: str
) -> None:
    folder = write_celeba(tmp_path / "celeba")
    config = vae_of({"kind": "celeba", "path": folder})
    first = load_data(config).faces.source.listing
    assert load_data(config).faces.source.listing == first
    os.utime(folder / changed, ns=(1, 1))
    assert load_data(config).faces.source.listing != first


def test_persons_of_celeba_stay_together_where_a_partition_is_wrong(
    vae_of: VaeMaker, tmp_path: Path
) -> None:
    folder = write_celeba(tmp_path / "celeba", "01000011")  # the first person is on both sides
    source = {"kind": "celeba", "path": folder}
    assert "000002.jpg" in names(load_data(vae_of(source)), "validation")
    data = load_data(vae_of(source, group_key={"column": "identity"}))
    assert names(data, "validation") == ["000007.jpg", "000008.jpg"]
