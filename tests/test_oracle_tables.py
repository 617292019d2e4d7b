"""The committed tables: hashes, completeness, and that damage is noticed."""

import json
import shutil

import pytest
from oracle import reference as ref
from oracle import runs as finished
from oracle.files import save_npz


def test_every_table_matches_its_hash():
    entries = ref.manifest()["files"]
    on_disk = {p.name for p in ref.REFERENCE_DIR.glob("s*_*.npz")}
    assert {name for name in entries} == on_disk
    for name in entries:
        ref.load_table(name.removesuffix(".npz"))


def test_every_point_has_a_table_made_with_its_parameters():
    content = ref.manifest()
    for name in ref.POINTS:
        settings = content["files"][f"spectra_{name}.npz"]["class_settings"]
        assert settings == json.loads(json.dumps(ref.table_settings(name))), name


def test_changed_table_raises(tmp_path):
    shutil.copy(ref.REFERENCE_DIR / ref.MANIFEST, tmp_path)
    table = ref.load_stages("massless")
    table["bg_H"] = table["bg_H"] * (1 + 1e-12)
    save_npz(tmp_path / "stages_massless.npz", table)
    with pytest.raises(finished.ReferenceError, match="does not match the hash"):
        ref.load_stages("massless", tmp_path)
    with pytest.raises(finished.ReferenceError, match="no reference table"):
        ref.load_stages("fiducial", tmp_path)
