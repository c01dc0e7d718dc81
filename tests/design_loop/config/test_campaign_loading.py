"""Files are checked against hosts, datasets and models that are really there."""

from __future__ import annotations

import gzip
import logging
import subprocess
import sys

import pytest
from campaign_files import changed

from defects.datasets.bundled import bundled_path
from defects.errors import ConfigError
from design_loop.config import (
    CampaignFileError,
    load_campaign,
    load_preset,
    parse_campaign,
    preset_names,
    preset_path,
)

CIF = """data_{name}
_symmetry_space_group_name_H-M 'P 1'
_cell_length_a 3.2
_cell_length_b 3.2
_cell_length_c 15
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 120
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Nb1 Nb 0.3333 0.6667 0.5
Te1 Te 0.6667 0.3333 0.4
Te2 Te 0.6667 0.3333 0.6
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str):
        path = tmp_path / "campaign.yaml"
        path.write_text(text)
        return path

    return write


def refusal(path) -> str:
    with pytest.raises(CampaignFileError) as caught:
        load_campaign(path)
    return str(caught.value)


def test_a_good_file_is_loaded_as_it_is_parsed(write):
    assert load_campaign(write(changed())) == parse_campaign(changed())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host__name": "MoS3"}, ":3: host.name: unknown host 'MoS3'"),
        ({"host__name": "MoS3"}, "did you mean 'MoS2'?"),
        ({"rules__defects": ["V_S", "V_Se"]}, "rules.defects[1]: V_Se: MoS2 has no Se, only Mo, S"),
        ({"rules__defects": ["W_Se"]}, "write W_Mo or W_S"),
        ({"rules__defects": ["Xq_S"]}, "there is no element Xq"),
        (
            {"rules": {"defects": ["V_Mo"], "min_defects": 17, "max_defects": 20}},
            "rules.min_defects: 17, but only 16 sites of MoS2-4x4x1 may change",
        ),
        ({"host__supercell": "8x8"}, "dataset: holds MoS2 4x4x1, but the host is MoS2-8x8x1"),
        ({"dataset": "xtb-mos2"}, "no dataset"),
        ({"targets__0__property": "homo_lumo_gapp"}, "did you mean 'homo_lumo_gap'?"),
        ({"targets__0__property": "fermi_level"}, "the dataset has no labels of fermi_level"),
        ({"surrogate__properties": ["homo_lumo_gap", "x"]}, "surrogate.properties[1]: the dataset"),
        ({"surrogate__min_labels": 1000}, "the dataset has 959 labels of homo_lumo_gap"),
        ({"surrogate__kind": "related"}, "related: nothing is known to be related to homo"),
        ({"base_model": "smal"}, "no base model 'smal'; did you mean 'small'?"),
        ({"base_model": "./nowhere"}, "nowhere is no model folder (no config.json in it)"),
        ({"serving__engin": {}}, "serving.engin: unknown key; did you mean 'engine'?"),
        ({"serving": {"engine": {"dtype": "fp8"}}}, "serving.engine.dtype: 'fp8' is not known"),
        ({"serving__base_model": "x"}, "serving.base_model: is set by the campaign itself"),
        ({"adapter__rank": 16, "serving": {"lora": {"max_lora_rank": 8}}}, "16 is above serving"),
        ({"oracle__settings": {"methd": "x"}}, "oracle.settings.methd: unknown key; did you mean"),
        ({"oracle__settings": {"method": "GFN3-xTB"}}, "oracle.settings.method: 'GFN3-xTB' is not"),
        ({"oracle__kind": "table"}, "oracle.settings.dataset: is missing (name of a shipped"),
        ({"oracle__kind": "ase"}, "oracle.settings.calculator: is missing (import path"),
        (
            {"oracle": {"kind": "ase", "settings": {"calculator": "ase.nowhere:X"}}},
            "oracle.kind: calculator ase.nowhere:X cannot be imported",
        ),
        (
            {"oracle": {"kind": "ase", "settings": {"calculator": "ase.calculators.emt:EMT"}}},
            "would never be verified: oracle ase gives no homo_lumo_gap",
        ),
        (
            {"oracle": {"kind": "table", "settings": {"dataset": "nowhere"}}},
            "oracle.settings.dataset: no dataset",
        ),
        (
            {"rules__defects": ["V_S", "Au_S"], "targets__0": "formation_energy<=1"},
            "potential of Au",
        ),
    ],
)
def test_what_cannot_work_is_refused(write, changes, message):
    assert message in refusal(write(changed(**changes)))


def test_a_surrogate_whose_library_is_missing_is_refused(write, monkeypatch):
    from training.surrogate_kinds import FITTERS, Fitter

    monkeypatch.setitem(FITTERS, "soap", Fitter("x", "f", "descriptors", ("no_such_library",)))
    message = refusal(write(changed(surrogate__kind="soap")))
    assert "surrogate.kind: soap needs no_such_library" in message
    assert "design-loop[descriptors]" in message
    levels = changed(surrogate__kind="related", targets__0={"property": "lumo", "max": -8})
    assert load_campaign(write(levels)).surrogate.kind == "related"


def test_problems_of_text_and_of_the_world_come_together(write):
    text = changed(host__name="MoS3", base_model="smal", generation__formt="full")
    assert refusal(write(text)).count("did you mean") == 3


def test_a_target_that_no_label_meets_is_a_warning(write, caplog):
    with caplog.at_level(logging.WARNING):
        load_campaign(write(changed(targets__0={"property": "homo_lumo_gap", "min": 3})))
    assert "campaign.yaml:13: targets[0]: homo_lumo_gap ≥ 3: none of the dataset's 959" in (
        caplog.text
    )
    caplog.clear()
    load_campaign(write(changed()))
    assert caplog.text == ""


@pytest.mark.parametrize("target", ["homo_lumo_gap>=5", "homo<=-40", "homo_lumo_gap=8.5"])
def test_a_target_far_from_every_label_is_refused(write, target):
    """Labels: gaps of 0.01 to 2.15 eV, HOMO at about -11 eV."""
    found = refusal(write(changed(targets__0=target)))
    assert "none of the dataset's 959 labels" in found and "write bounds near the labels" in found


def test_settings_without_effect_are_a_warning_where_the_file_gives_them(write, caplog):
    def warned(**changes):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            loaded = load_campaign(write(changed(learn=changes)))
        return loaded, [r.getMessage() for r in caplog.records if "no effect" in r.getMessage()]

    config, found = warned(start_from="base", replay=3, continue_rate=0.5)
    assert [": learn.replay: " in found[0], ": learn.continue_rate: " in found[1]] == [True, True]
    assert config.learn.replay == 3
    assert not warned(start_from="base")[1]
    assert not warned(start_from="previous", replay=3, continue_rate=0.5)[1]
    with caplog.at_level(logging.WARNING):
        parse_campaign(warned(start_from="base")[0].to_yaml())
    assert "no effect" not in caplog.text


def test_what_grows_with_the_number_of_defects_has_no_far(write, caplog):
    load_campaign(write(changed(targets__0="formation_energy>=500")))
    assert "it may be out of reach" in caplog.text


def test_mixed_methods_are_a_warning(write, tmp_path, caplog):
    """Labels of an own dataset may come from anywhere; the surrogate would mix them."""
    (tmp_path / "mine").symlink_to(bundled_path("xtb-mos2-4x4"))
    load_campaign(write(changed(dataset="mine")))
    assert "make sure that the dataset's labels come from this oracle" in caplog.text


def test_relative_paths_start_at_the_file(write, tmp_path, monkeypatch):
    (tmp_path / "mine").symlink_to(bundled_path("xtb-mos2-4x4"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    table = {"kind": "table", "settings": {"dataset": "mine"}}
    path = write(changed(dataset="mine", base_model="./model", oracle=table))
    monkeypatch.chdir("/")
    config = load_campaign(path)
    assert config.dataset == str(tmp_path / "mine")
    assert config.base_model == str(tmp_path / "model")
    assert config.oracle.settings["dataset"] == str(tmp_path / "mine")
    assert parse_campaign(config.to_yaml()) == config


def test_a_folder_goes_before_a_model_of_that_name(write, tmp_path):
    assert load_campaign(write(changed(base_model="owner/model"))).base_model == "owner/model"
    (tmp_path / "owner" / "model").mkdir(parents=True)
    (tmp_path / "owner" / "model" / "config.json").write_text("{}")
    loaded = load_campaign(write(changed(base_model="owner/model")))
    assert loaded.base_model == str(tmp_path / "owner" / "model")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_cif_of_another_host_does_not_fit_the_dataset(write, tmp_path):
    (tmp_path / "NbTe2.cif").write_text(CIF.format(name="NbTe2"))
    text = changed(host__name="NbTe2.cif", rules__defects=["V_Te"])
    assert "holds MoS2 4x4x1, but the host is NbTe2" in refusal(write(text))


def test_a_missing_cif_is_named(write):
    assert "host.name: no such CIF file" in refusal(write(changed(host__name="none.cif")))


def test_a_truncated_dataset_is_refused_before_anything_starts(write, tmp_path):
    source = bundled_path("xtb-mos2-4x4")
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in source.iterdir():
        if file.is_file():
            content = file.read_bytes()
            cut = content[: len(content) // 2] if file.name == "targets.csv.gz" else content
            (broken / file.name).write_bytes(cut)
    found = refusal(write(changed(dataset="broken")))
    assert ":16: dataset: " in found
    assert "targets.csv.gz is truncated or damaged" in found
    content = gzip.decompress((source / "targets.csv.gz").read_bytes()).decode()
    bad = content.replace("0.40384", "nan", 1)
    (broken / "targets.csv.gz").write_bytes(gzip.compress(bad.encode()))
    assert "homo_lumo_gap is 'nan'" in refusal(write(changed(dataset="broken")))


def test_a_file_that_is_not_there_names_what_ships(tmp_path):
    with pytest.raises(ConfigError, match=r"no such file; shipped campaigns are .*quickstart"):
        load_campaign(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_campaign(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not text in UTF-8"):
        load_campaign(tmp_path / "binary.yaml")


@pytest.mark.parametrize("name", preset_names())
def test_shipped_campaigns_parse(name):
    config = load_preset(name, check=False)
    assert config.name == name
    assert parse_campaign(config.to_yaml()) == config


def test_the_quickstart_needs_nothing_that_does_not_ship():
    config = load_preset("quickstart")
    assert config == load_campaign(preset_path("quickstart"))
    assert config.rules.defects == ("V_Mo", "V_S", "W_Mo", "Se_S")
    assert (config.rules.min_defects, config.rules.max_defects, config.rounds) == (1, 6, 3)
    assert (config.host.name, config.host.supercell) == ("MoS2", (4, 4, 1))
    assert config.generation.format == "compact"
    assert config.oracle.kind == "xtb"


def test_the_targets_of_the_quickstart_are_rare_but_within_reach():
    from defects.datasets import bundled_dataset

    targets = load_preset("quickstart").targets
    labels = [record.properties for record in bundled_dataset("xtb-mos2-4x4")]
    hits = sum(all(t.satisfied(row[t.property]) for t in targets) for row in labels)
    assert 0.03 < hits / len(labels) < 0.12


@pytest.mark.parametrize("name", ["llama-3.1-8b", "llama-3-70b"])
def test_the_llama_presets_carry_the_published_hyperparameters(name):
    config = load_preset(name, check=False)
    adapter, generation = config.adapter, config.generation
    assert (adapter.learning_rate, adapter.schedule, adapter.epochs) == (1e-4, "cosine", 10)
    assert (adapter.rank, adapter.dropout, adapter.alpha) == (8, 0.05, 32)
    assert (generation.temperature, generation.top_p, generation.format) == (1.0, 0.9, "full")
    assert config.host.supercell == (8, 8, 1)
    assert config.serving["device"] == "gpu"


def test_the_llama_presets_fit_the_2dmd_dataset(tmp_path):
    from pathlib import Path

    data = Path(__file__).resolve().parents[4] / "shared" / "2dmd"
    if not data.is_dir():
        pytest.skip("the 2DMD data is not at hand")
    (tmp_path / "2dmd").symlink_to(data)
    for name in ("llama-3.1-8b", "llama-3-70b"):
        path = tmp_path / f"{name}.yaml"
        path.write_text(preset_path(name).read_text())
        assert load_campaign(path).dataset == str(tmp_path / "2dmd/low_density_defects/MoS2")


def test_an_unknown_preset_is_named():
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        load_preset("quickstat")


def test_reading_a_campaign_imports_nothing_heavy():
    code = (
        "import sys; from design_loop.config import load_preset; load_preset('quickstart')\n"
        "heavy = {'torch', 'ray', 'vllm', 'catboost', 'transformers', 'pymatgen', 'sqlalchemy'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_the_ledger_imports_nothing_heavy():
    code = (
        "import sys, design_loop.ledger\n"
        "heavy = {'torch', 'ray', 'vllm', 'catboost', 'transformers', 'pymatgen', 'numpy'}\n"
        "sys.exit(','.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
