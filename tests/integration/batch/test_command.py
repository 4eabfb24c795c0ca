"""The command `evenface-batch`: what it refuses in one line, and what it leaves as it is."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from evenface_batch.job import load
from evenface_batch.main import main
from evenface_batch.scoring import fail_chunk
from evenface_core.resampling import weigh
from support.bundles import Tiny, write_tiny_bundle
from support.datasets import jpeg, write_jpegs
from support.servers import server_process
from support.signing import Signer


def arguments(tmp_path: Path, models: Path, *more: str) -> list[str]:
    bundle, out = models / "faces" / "1", tmp_path / "out"
    return [
        "encode", str(tmp_path / "faces"), "--model", str(bundle), "--out", str(out),
        "--workers", "1", *more,
    ]  # fmt: skip


def rows(tmp_path: Path) -> list[dict[str, Any]]:
    return pq.read_table(tmp_path / "out" / "parts").to_pylist()  # type: ignore[no-any-return]


def test_a_finished_job_is_not_overwritten_and_not_resumed_as_another(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg"])
    asked = arguments(tmp_path, tiny_models)
    assert main(asked) == 0
    before = rows(tmp_path)
    assert main(asked) == 2
    assert "holds a job already; go on with it with --resume, or choose" in capsys.readouterr().err
    assert main([*asked, "--resume", "--dtype", "float16"]) == 2
    assert "this job was begun with dtype 'float32', not 'float16'" in capsys.readouterr().err
    write_tiny_bundle(tmp_path / "models", Tiny(shift=1.0))
    assert main([*arguments(tmp_path, tmp_path / "models"), "--resume"]) == 2
    assert "this job was begun with model.digest '" in capsys.readouterr().err
    write_jpegs(tmp_path / "faces", ["c.jpg"])
    assert main([*asked, "--resume"]) == 0
    assert rows(tmp_path) == before
    plan = json.loads((tmp_path / "out" / "job.json").read_text())
    assert plan["input"]["urls"] == [str(tmp_path / "faces")]
    assert (plan["listing"]["chunks"], plan["listing"]["items"]) == (1, 2)


def test_parts_that_no_job_made_are_not_taken_for_those_of_a_new_one(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg"])
    asked = arguments(tmp_path, tiny_models)
    assert main(asked) == 0
    (tmp_path / "out" / "job.json").unlink()
    assert main([*asked, "--resume"]) == 2
    assert "holds parts, but no job.json; choose another --out" in capsys.readouterr().err


def test_a_job_that_a_service_began_is_ended_here_by_the_model_of_the_same_version(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg"])
    asked = arguments(tmp_path, tiny_models, "--chunk-size", "1")
    with server_process(tiny_models) as server:
        grpc = ["--engine", "grpc", "--target", server.address, "--model", "faces/1"]
        assert main([*asked, *grpc]) == 0
    (tmp_path / "out" / "parts" / "part-000000001.parquet").unlink()
    assert main([*asked, "--resume"]) == 0
    assert [row["error"] for row in rows(tmp_path)] == [None, None]
    write_tiny_bundle(tmp_path / "models", Tiny(version="2"))
    other = str(tmp_path / "models" / "faces" / "2")
    assert main([*asked, "--resume", "--model", other]) == 2
    assert "this job was begun with model.version '1', not '2'" in capsys.readouterr().err


def test_errors_of_an_earlier_run_count_in_the_exit_code(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg"])
    (tmp_path / "faces" / "b.jpg").write_bytes(b"")
    for more in ([], ["--resume"]):
        assert main([*arguments(tmp_path, tiny_models), *more]) == 1
        assert (
            f"2 rows in {tmp_path}/out/parts, 1 of them with an error\n" in capsys.readouterr().err
        )


def test_what_failed_for_a_time_is_scored_when_the_job_is_resumed(
    tmp_path: Path, tiny_models: Path
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    (tmp_path / "faces" / "d.jpg").write_bytes(b"")
    asked = arguments(tmp_path, tiny_models, "--chunk-size", "1")
    assert main(asked) == 1
    whole, job = rows(tmp_path), load(str(tmp_path / "out"))
    for chunk, error in zip(
        job.chunks(), ("worker died: killed", "failed: X", "no image"), strict=False
    ):
        fail_chunk(chunk, error, job.output)
    lasting = job.output.read(2).to_pylist()
    assert main([*asked, "--resume"]) == 1
    assert rows(tmp_path) == [*whole[:2], *lasting, whole[3]]


def test_all_shows_what_went_wrong_where_no_row_can_be_weighted(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.jpg").write_bytes(b"")
    asked = ["all", *arguments(tmp_path, tiny_models)[1:]]
    page = tmp_path / "out" / "page.html"
    assert main(asked) == 1
    said = capsys.readouterr().err
    assert f"page: {page}" in said
    assert "no row has a mean, so there is nothing to weight" in said
    page.unlink()
    write_jpegs(tmp_path / "faces", ["a.jpg"])
    assert main([*asked, "--out", f"{tmp_path}/other", "--min-face-probability", "1"]) == 2
    assert (tmp_path / "other" / "page.html").exists()


def test_a_listing_that_was_changed_is_refused(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg"])
    main(arguments(tmp_path, tiny_models))
    listing = tmp_path / "out" / "listing.jsonl.gz"
    listing.write_bytes(listing.read_bytes()[:-12])
    assert main([*arguments(tmp_path, tiny_models), "--resume"]) == 2
    assert f"error: cannot read {listing}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--chunk-size", "0"], "--chunk-size: 0 is outside 1 to 1000000"),
        (["--workers", "-1"], "--workers: -1 is below 0"),
        (["--model", "nowhere"], "nowhere/manifest.json: No such file or directory"),
        (["--out", "/proc/nowhere"], "cannot write /proc/nowhere: No such file or directory"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path,
    tiny_models: Path,
    capsys: pytest.CaptureFixture[str],
    change: list[str],
    message: str,
) -> None:
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.jpg").write_bytes(jpeg(0))
    assert main([*arguments(tmp_path, tiny_models), *change]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


def test_a_model_that_cannot_encode_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg"])
    write_tiny_bundle(tmp_path / "models", Tiny(functions=("classify",)))
    assert main(arguments(tmp_path, tmp_path / "models")) == 2
    assert "this model cannot encode; it can classify" in capsys.readouterr().err


def test_all_encodes_and_weights_and_shows_the_rarest(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", [f"{number:02}.jpg" for number in range(40)])
    (tmp_path / "faces" / "07.jpg").write_bytes(b"")
    more = ["--chunk-size", "15", "--min-ess", "0.9"]
    assert main(["all", *arguments(tmp_path, tiny_models, *more)[1:]]) == 1
    said = capsys.readouterr().err
    assert "40 rows in " in said
    assert " of 39 weighted rows (90%)" in said
    assert "tempered: each weight to the power 0." in said
    found = rows(tmp_path)
    weighted = [row for row in found if row["weight"] is not None]
    assert [row["id"] for row in found if row["weight"] is None] == ["07.jpg"]
    means = np.array([row["mean"] for row in weighted], np.float32)
    _, expected = weigh(means, min_effective_sample_size=0.9)
    np.testing.assert_array_equal([row["weight"] for row in weighted], expected.values)
    page = (tmp_path / "out" / "page.html").read_text()
    rarest = max(weighted, key=lambda row: row["weight"])["id"]
    assert (
        page.index("Rarest</h3>") < page.index(f'title="{rarest}"') < page.index("Commonest</h3>")
    )


def test_weights_are_made_anew_by_another_rule_and_only_of_a_whole_job(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg", "b.jpg", "c.jpg"])
    out = str(tmp_path / "out")
    assert main(["weights", "--out", out]) == 2
    assert capsys.readouterr().err == f"error: {out}: no job there: no job.json\n"
    assert not (tmp_path / "out").exists()
    assert main([*arguments(tmp_path, tiny_models, "--chunk-size", "2")]) == 0
    weights = {
        rule: (
            main(["weights", "--out", out, "--rule", rule]),
            [r["weight"] for r in rows(tmp_path)],
        )
        for rule in ("lab", "hard")
    }
    assert [code for code, _ in weights.values()] == [0, 0]
    assert weights["lab"][1] != weights["hard"][1]
    (tmp_path / "out" / "parts" / "part-000000001.parquet").unlink()
    capsys.readouterr()
    assert main(["weights", "--out", out]) == 2
    assert "1 of 2 parts are there; finish the step encode first" in capsys.readouterr().err


def test_an_output_that_workers_do_not_share_is_found_out(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg"])
    assert main([*arguments(tmp_path, tiny_models), "--out", "memory://of-each-process"]) == 2
    assert "0 of 1 parts are there although all were written" in capsys.readouterr().err


def test_rarity_can_be_judged_by_the_histogram_that_another_job_wrote(
    tmp_path: Path, tiny_models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", [f"{number}.jpg" for number in range(9)])
    histogram, out = str(tmp_path / "all.npz"), str(tmp_path / "out")
    assert main(["all", *arguments(tmp_path, tiny_models)[1:], "--histogram-out", histogram]) == 0
    whole = np.array([row["mean"] for row in rows(tmp_path)], np.float32)
    for name in ("0.jpg", "1.jpg", "2.jpg"):
        (tmp_path / "faces" / name).unlink()
    (tmp_path / "out").rename(tmp_path / "first")
    assert main(["all", *arguments(tmp_path, tiny_models)[1:], "--histogram", histogram]) == 0
    found = rows(tmp_path)
    means = np.array([row["mean"] for row in found], np.float32)
    _, expected = weigh(means, weigh(whole)[0])
    np.testing.assert_array_equal([row["weight"] for row in found], expected.values)
    capsys.readouterr()
    assert main(["weights", "--out", out, "--histogram-out", "all.csv"]) == 2
    assert capsys.readouterr().err == "error: --histogram-out: all.csv: must end in .npz\n"


def test_a_job_that_requires_a_signature_takes_a_signed_bundle_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_jpegs(tmp_path / "faces", ["a.jpg"])
    bundle, signer = write_tiny_bundle(tmp_path / "models"), Signer(tmp_path)
    job = ["encode", str(tmp_path / "faces"), "--model", str(bundle), "--workers", "1"]
    asked = [*job, "--out", str(tmp_path / "out"), "--require-signature", str(signer.public)]
    assert main(asked) == 2
    assert "it is not signed (model.sig is missing)" in capsys.readouterr().err
    signer.sign(bundle)
    assert main(asked) == 0
    assert len(pq.read_table(tmp_path / "out" / "parts")) == 1
