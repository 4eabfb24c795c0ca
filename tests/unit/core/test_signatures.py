"""Signatures of bundles: whose count, and what they must cover."""

import base64
import hashlib
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from evenface_core.bundle import open_bundle
from evenface_core.errors import BundleError, ConfigError
from evenface_core.signatures import SIGNATURE_FILE, Trust
from model_signing import hashing, signing
from support.bundles import Tiny, write_tiny_bundle
from support.signing import Authority, Signer


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    """Whom the tests trust."""
    return Signer(tmp_path)


@pytest.fixture
def bundle(tmp_path: Path, signer: Signer) -> Path:
    """faces/1, signed."""
    return signed(tmp_path / "models", signer)


def signed(models: Path, signer: Signer | Authority, tiny: Tiny | None = None) -> Path:
    folder = write_tiny_bundle(models, tiny or Tiny())
    signer.sign(folder)
    return folder


def check(folder: Path, key: Path) -> None:
    Trust(key).check(open_bundle(folder))


def refusal(folder: Path, key: Path) -> str:
    with pytest.raises(BundleError) as caught:
        check(folder, key)
    text = str(caught.value)
    assert text.startswith(f"{folder}")
    assert "\n" not in text
    return text


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_bundle_that_someone_trusted_has_signed_is_good(bundle: Path, signer: Signer) -> None:
    check(bundle, signer.public)


def test_the_librarys_own_command_signs_and_checks(bundle: Path, signer: Signer) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    command = [sys.executable, "-m", "model_signing"]
    where = [str(bundle), "--signature", str(bundle / SIGNATURE_FILE)]
    key = ["--private_key", str(signer.private)]
    subprocess.run([*command, "sign", "key", *where, *key], check=True, capture_output=True)
    check(bundle, signer.public)
    key = ["--public_key", str(signer.public)]
    subprocess.run([*command, "verify", "key", *where, *key], check=True, capture_output=True)


def test_a_bundle_without_a_signature_is_refused(bundle: Path, signer: Signer) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    assert "it is not signed (model.sig is missing)" in refusal(bundle, signer.public)


def test_a_strangers_signature_is_refused(bundle: Path, tmp_path: Path) -> None:
    stranger = Signer(tmp_path, "stranger")
    assert "Key mismatch" in refusal(bundle, stranger.public)


def test_any_of_several_keys_will_do_so_that_keys_can_be_renewed(
    bundle: Path, signer: Signer, tmp_path: Path
) -> None:
    both = tmp_path / "both.pub"
    other = Signer(tmp_path, "other")
    both.write_bytes(other.public.read_bytes() + signer.public.read_bytes())
    check(bundle, both)


def test_a_graph_changed_together_with_its_digest_is_refused(
    bundle: Path, signer: Signer, tmp_path: Path
) -> None:
    forged = write_tiny_bundle(tmp_path / "forged", Tiny(shift=1.0))
    for file in forged.iterdir():
        shutil.copy(file, bundle)
    changed = "not what was signed: encode.onnx, manifest.json"
    assert changed in refusal(bundle, signer.public)


def test_a_bundle_that_was_opened_before_the_signed_one_took_its_place_is_refused(
    bundle: Path, signer: Signer, tmp_path: Path
) -> None:
    forged = write_tiny_bundle(tmp_path / "forged", Tiny(shift=1.0))
    opened = open_bundle(forged)
    for file in bundle.iterdir():
        shutil.copy(file, forged)
    with pytest.raises(BundleError, match=r"not what was signed: encode.onnx, manifest.json"):
        Trust(signer.public).check(opened)


def test_digests_of_another_kind_are_refused_by_name(bundle: Path, signer: Signer) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    hashed = hashing.Config().use_file_serialization(hashing_algorithm="blake2")
    config = signing.Config().use_elliptic_key_signer(private_key=signer.private)
    config.set_hashing_config(hashed).sign(bundle, bundle / SIGNATURE_FILE)
    assert "signs digests by blake2b, not by sha256" in refusal(bundle, signer.public)


def test_keys_that_have_gone_since_the_start_are_named_and_let_nothing_in(
    bundle: Path, signer: Signer
) -> None:
    signer.public.unlink()
    said = refusal(bundle, signer.public)
    assert f"model.sig cannot be checked: {signer.public}: No such file" in said
    signer.public.write_bytes(b"-----BEGIN")  # half of it written
    assert "model.sig cannot be checked" in refusal(bundle, signer.public)


def test_a_version_that_was_changed_in_the_manifest_alone_is_refused(
    bundle: Path, signer: Signer
) -> None:
    manifest = bundle / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": "1"', '"version": "2"'))
    assert "not what was signed: manifest.json" in refusal(bundle, signer.public)


@pytest.mark.parametrize("other", [Tiny(name="other"), Tiny(version="0", shift=1.0)])
def test_the_signature_of_another_model_or_version_is_refused(
    bundle: Path, signer: Signer, tmp_path: Path, other: Tiny
) -> None:
    donor = signed(tmp_path / "donor", signer, other)
    shutil.copy(donor / SIGNATURE_FILE, bundle)
    assert "manifest.json" in refusal(bundle, signer.public).partition("not what was signed")[2]


def test_a_signature_that_leaves_out_a_file_is_refused(bundle: Path, signer: Signer) -> None:
    graph = (bundle / "encode.onnx").read_bytes()
    (bundle / "encode.onnx").unlink()
    (bundle / SIGNATURE_FILE).unlink()
    signer.sign(bundle)
    (bundle / "encode.onnx").write_bytes(graph)
    assert "model.sig leaves out encode.onnx" in refusal(bundle, signer.public)


def test_a_signature_of_more_than_the_bundle_is_refused(bundle: Path, signer: Signer) -> None:
    (bundle / SIGNATURE_FILE).unlink()
    (bundle / "notes.txt").write_text("mine")
    signer.sign(bundle)
    assert "model.sig covers also notes.txt" in refusal(bundle, signer.public)


def test_a_statement_changed_after_it_was_signed_is_refused(bundle: Path, signer: Signer) -> None:
    (bundle / "model_card.md").write_text("another")
    manifest = bundle / "manifest.json"
    values = json.loads(manifest.read_bytes())
    values["files"]["model_card.md"] = {"size": 7, "sha256": sha256(bundle / "model_card.md")}
    manifest.write_text(json.dumps(values))
    signature = json.loads((bundle / SIGNATURE_FILE).read_bytes())
    envelope = signature["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    for file in statement["predicate"]["resources"]:
        file["digest"] = sha256(bundle / file["name"])
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    (bundle / SIGNATURE_FILE).write_text(json.dumps(signature))
    assert "model.sig does not hold" in refusal(bundle, signer.public)


@pytest.mark.parametrize("junk", [b"", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"dsseEnvelope": 1}'])
def test_what_is_no_signature_is_refused(bundle: Path, signer: Signer, junk: bytes) -> None:
    (bundle / SIGNATURE_FILE).write_bytes(junk)
    assert "model.sig is no signature of a model" in refusal(bundle, signer.public)


def test_a_huge_file_in_the_place_of_a_signature_is_refused(bundle: Path, signer: Signer) -> None:
    with (bundle / SIGNATURE_FILE).open("wb") as file:
        file.truncate(2**40)
    assert "above 1048576 bytes" in refusal(bundle, signer.public)


def test_a_certificate_of_a_trusted_authority_will_do_and_no_others(tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    folder = signed(tmp_path / "models", ours)
    check(folder, ours.certificate)
    assert "model.sig does not hold" in refusal(folder, theirs.certificate)


@pytest.mark.parametrize("ended", [-1, 3])
def test_a_signature_outlives_its_signers_certificate_and_the_log_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, ended: int
) -> None:
    ours = Authority(tmp_path, ended=ended)
    check(signed(tmp_path / "models", ours), ours.certificate)
    lines = [vars(record) for record in caplog.records if record.name.startswith("evenface")]
    if ended < 0:
        assert lines == []
        return
    (line,) = lines
    assert (line["msg"], line["levelname"]) == ("signer's certificate has ended", "WARNING")
    assert (line["model"], line["signer"]) == ("faces/1", "CN=model builder")
    over = datetime.now(UTC) - datetime.fromisoformat(line["ended"])
    assert over == pytest.approx(timedelta(days=ended), abs=timedelta(hours=1))


def test_a_signature_that_would_hide_its_certificate_is_refused(tmp_path: Path) -> None:
    ours = Authority(tmp_path, ended=3)
    folder = signed(tmp_path / "models", ours)
    text = (folder / SIGNATURE_FILE).read_text()
    hidden = text.replace("x509CertificateChain", "x509_certificate_chain")
    (folder / SIGNATURE_FILE).write_text(hidden)
    assert "model.sig is no signature of a model" in refusal(folder, ours.certificate)


def test_a_signature_by_key_is_no_signature_by_certificate(bundle: Path, tmp_path: Path) -> None:
    assert "model.sig does not hold" in refusal(bundle, Authority(tmp_path).certificate)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        (b"", "it holds neither"),
        (b"-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n", "no PEM file"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no PEM file"),
    ],
)
def test_a_file_without_keys_is_refused_by_name(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    path = tmp_path / "keys.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Trust(path).require()
    assert str(caught.value).startswith(f"require-signature: {path}: ")
    assert problem in str(caught.value)


def test_the_extra_that_is_missing_is_named(
    signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "model_signing", None)
    with pytest.raises(ConfigError, match=r"needs the extra 'signing': pip install"):
        Trust(signer.public).require()
