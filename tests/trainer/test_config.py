"""The YAML of a run: read, changed from the command line, and refused where it is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from instructdiffusion.tasks import TASKS
from instructdiffusion.trainer.config import DataConfig, LossConfig, TrainConfig, load_config, to_dict

FOLDER = Path(__file__).parents[2] / "training" / "configs"
CONFIGS = sorted(FOLDER.glob("*.yaml"))
SHIPPED = sorted(FOLDER.glob("tiny-[0-9]*.yaml"), key=lambda path: int(path.stem.split("-")[1]))


def _write(folder: Path, **values) -> Path:
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump({"stage": "vae", "output": "out", "steps": 10, **values}))
    return path


def test_the_stages_of_the_shipped_model_are_all_there():
    stages = ["vae", "generator", "marks", *["instruct"] * 9, "vae", "vae", "instruct"]
    assert [load_config(path).stage for path in SHIPPED] == stages


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_shipped_config_is_valid_and_names_real_tasks(path):
    config = load_config(path)
    assert set(config.data.mixture) <= set(TASKS)
    assert not Path(config.output).is_absolute() and Path(config.output).name == path.stem


def test_each_shipped_config_starts_from_the_one_before():
    configs = [load_config(path) for path in SHIPPED]
    for before, config in zip(configs, configs[1:]):
        made = f"{before.output}/model"
        if before.stage == "vae" and config.stage == "instruct":  # ship.py's, of the UNet and the new decoder
            made = "runs/tiny-14-whole"
        assert config.init == made


@pytest.mark.parametrize("name", ["tiny-13-decoder", "tiny-14-decoder"])
def test_the_decoders_configs_keep_the_encoder_of_the_shipped_model(name):
    config = load_config(FOLDER / f"{name}.yaml")
    before = load_config(SHIPPED[SHIPPED.index(FOLDER / f"{name}.yaml") - 1])
    assert config.model.vae_decoder_only and config.init == f"{before.output}/model"


def test_nested_fields_and_lists_are_read(tmp_path):
    config = load_config(_write(tmp_path, model={"vae_channels": [32, 64]}, loss={"min_snr": 5}))
    assert config.model.vae_channels == (32, 64) and config.loss.min_snr == 5
    assert config.data == DataConfig()


def test_overrides_reach_nested_fields(tmp_path):
    overrides = (
        "steps=7",
        "data.pool=4096",
        "data.mixture={edit: 1}",
        "model.unet_channels=[32, 64]",
        "init=a/b",
    )
    config = load_config(_write(tmp_path), overrides)
    assert (config.steps, config.data.pool, config.data.mixture) == (7, 4096, {"edit": 1})
    assert config.model.unet_channels == (32, 64) and config.init == "a/b"


def test_a_config_survives_the_way_through_plain_data(tmp_path):
    config = load_config(_write(tmp_path, data={"pool": 9}))
    path = tmp_path / "again.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(yaml.dump(to_dict(config), Dumper=_Tuples))))
    assert load_config(path) == config


class _Tuples(yaml.SafeDumper):
    pass


_Tuples.add_representer(tuple, lambda dumper, value: dumper.represent_list(value))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stpes": 3}, "unknown field 'stpes'"),
        ({"data": {"poool": 3}}, r"unknown field data\.'poool'"),
        ({"data": 3}, "expected a mapping at data"),
        ({"stage": "all"}, "one of vae, generator, marks, instruct"),
        ({"steps": 0}, "`steps` to be at least 1"),
        ({"batch_size": 0}, "`batch_size`"),
        ({"loss": {"prediction": "noise"}}, "one of epsilon, v_prediction, sample"),
        ({"loss": {"drop_text": 1.5}}, r"loss\.drop_text"),
        ({"loss": {"drop_text": 0.6, "drop_image": 0.6}}, "never happen together"),
        ({"loss": {"area": 0}}, "`loss.area` above 0"),
        ({"precision": "float16"}, "`precision` to be one of float32, bfloat16"),
        ({"precision": "bfloat16"}, "float32 in stage vae"),
        ({"data": {"encoding": "half"}}, r"`data\.encoding`"),
        ({"data": {"absent": 1.5}}, r"`data\.absent` between 0 and 1"),
        ({"data": {"wordings": 0}}, r"`data\.wordings` to be at least 1"),
        ({"data": {"wordings": 2}}, r"`data\.wordings` in stage instruct alone, got stage 'vae'"),
        (
            {"stage": "marks", "model": {"text_encoder_only": True}},
            "in stage instruct alone, got stage 'marks'",
        ),
        ({"stage": "instruct", "data": {"mixture": {}}}, "at least one task"),
        ({"steps": "ten"}, "`steps` to be a whole number, got 'ten'"),
        ({"steps": 10.5}, "`steps` to be a whole number, got 10.5"),
        ({"batch_size": True}, "`batch_size` to be a whole number, got True"),
        ({"learning_rate": "1e-4"}, r"`learning_rate` to be a number, got '1e-4' \(.*write 1\.0e-4\)"),
        ({"gradient_clip": float("nan")}, "`gradient_clip` to be a number, got nan"),
        ({"init": 3}, "`init` to be text or null, got 3"),
        ({"loss": {"min_snr": "five"}}, r"`loss\.min_snr` to be a number or null"),
        ({"model": {"unet_channels": [32, "64"]}}, r"`model\.unet_channels` to be a list of whole numbers"),
        (
            {"model": {"unet_attention": [1, 0, 1]}},
            r"`model\.unet_attention` to be a list of true or false or null",
        ),
        ({"data": {"mixture": {"edit": "much"}}}, r"`data\.mixture` to be a mapping of names to numbers"),
        ({"data": {"mixture": ["edit"]}}, r"`data\.mixture` to be a mapping"),
        ({"data": {"workers": None}}, r"`data\.workers` to be a whole number, got None"),
        ({"data": {3: 4}}, r"unknown field data\.3"),
    ],
)
def test_a_wrong_field_is_named(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        load_config(_write(tmp_path, **values))


def test_a_missing_field_and_a_missing_file_are_named(tmp_path):
    (tmp_path / "short.yaml").write_text("stage: vae\nsteps: 3\n")
    with pytest.raises(ValueError, match="missing field 'output'"):
        load_config(tmp_path / "short.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(ValueError, match="expected a mapping at the top"):
        load_config(tmp_path / "empty.yaml")
    with pytest.raises(FileNotFoundError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps", "steps=1000"),
        ("steps=ten", "`steps` to be a whole number"),
        ("steps={", "expected YAML, steps={ cannot be read"),
        ("steps.more=3", "expected a mapping where 'steps.more=3' changes a field, got 10"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(tmp_path, override, message):
    with pytest.raises(ValueError, match=message):
        load_config(_write(tmp_path), (override,))


@pytest.mark.parametrize("content", [b"stage: [vae", b"stage: vae\n\tsteps: 3\n", b"stage: \xff\xfe\xff"])
def test_what_is_no_yaml_is_refused_in_a_line(tmp_path, content):
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"expected YAML, .*bad\.yaml cannot be read: .") as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_the_launcher_says_what_is_wrong_in_a_line(tmp_path, capsys):
    from instructdiffusion.cli import main

    assert main(["train", "--config", str(_write(tmp_path, steps="ten"))]) == 2
    error = capsys.readouterr().err
    assert error == "instructdiffusion train: expected `steps` to be a whole number, got 'ten'\n"


def test_configs_are_frozen():
    config = TrainConfig("vae", "out", 1, loss=LossConfig())
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.steps = 2
