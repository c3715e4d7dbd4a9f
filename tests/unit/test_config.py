"""From presets and flags to a run, and what a person is told when it does not work."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from engine import presets, run_dir
from engine.config import ResNetConfig, RunConfig, as_flags
from engine.config_file import build_config, parse_assignment, read_toml
from engine.errors import ConfigError, UserError


def refusal(preset: dict[str, Any], **flags: tuple[str, Any]) -> list[str]:
    """Return the lines of the error."""
    with pytest.raises(ConfigError) as error:
        build_config(preset, {key.replace("__", "."): value for key, value in flags.items()}, "my.toml")
    return str(error.value).splitlines()


def test_flags_win_over_the_preset_which_wins_over_the_defaults() -> None:
    config = build_config({"model": {"depth": 56}, "train": {"seed": 7}}, {"train.seed": ("--seed", "9")}, "my.toml")
    assert (config.model, config.train.seed) == (ResNetConfig(depth=56, shortcut="A"), 9)


def test_every_problem_is_reported_at_once_with_source_key_value_and_what_is_allowed() -> None:
    lines = refusal(
        {"model": {"shortcut": "b"}, "optim": {"lr": -1}, "trian": {}},
        train__epochs=("--epochs", 0),
        model__depth=("--depth", "x"),
    )
    assert lines == [
        "--depth: model.depth = 'x': allowed: a whole number",
        "my.toml: model.shortcut = 'b': allowed: A, B, C, none; did you mean 'B'?",
        "my.toml: optim.lr = -1: allowed: greater than 0",
        "--epochs: train.epochs = 0: allowed: greater than or equal to 1",
        (
            "my.toml: unknown key 'trian'; did you mean 'train'? "
            "(allowed: name, model, data, weights, prune, optim, schedule, train, telemetry)"
        ),
    ]


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ({"model": {"depht": 20}}, ("unknown key 'model.depht' of resnet; did you mean 'depth'? "
                                   "(allowed: arch, depth, stages, block, shortcut, stem, width, preactivation)")),
        ({"model": {"depth": 21}}, ("[model] depth = 21: a CIFAR ResNet has 6n+2 layers (8, 14, 20, 26, …); "
                                   "the nearest allowed: 20 and 26")),
        ({"model": {"depth": 2}}, ("[model] depth = 2: a CIFAR ResNet has 6n+2 layers (8, 14, 20, 26, …); "
                                  "the nearest allowed: 8")),
        ({"model": {"depth": 10_000}}, ("[model] depth = 10000: a CIFAR ResNet has 6n+2 layers (8, 14, 20, 26, …); "
                                       "the nearest allowed: 9998")),
        ({"model": {"arch": "resnte"}}, ("model.arch = 'resnte': allowed: resnet, highway, densenet, "
                                         "inception-resnet, residual-mlp; did you mean 'resnet'?")),
        ({"data": {"dataset": "cifar"}}, ("data.dataset = 'cifar': allowed: digits, iris, cifar10, cifar100, "
                                         "imagefolder, synthetic; did you mean 'cifar10'?")),
        ({"train": {"device": "gpu"}}, "train.device = 'gpu': allowed: auto, cpu, mps, cuda, cuda:0, cuda:1, …"),
        ({"train": {"target_accuracy": 95}}, "train.target_accuracy = 95: allowed: less than or equal to 1"),
        ({"optim": {"lr": float("nan")}}, "optim.lr = nan: allowed: a finite number"),
        ({"schedule": {"milestones": [0.7, 0.2]}}, ("schedule.milestones = [0.7, 0.2]: allowed: rising fractions of "
                                                   "the run between 0 and 1, such as [0.5, 0.75]")),
        ({"schedule": {"warmup_epochs": 10}}, ("schedule.warmup_epochs = 10 must be below train.epochs = 10; "
                                              "shorten it with --set schedule.warmup_epochs=…")),
        ({"data": {"dataset": "imagefolder"}}, ("data.dir is missing: imagefolder needs the folder that holds train/ "
                                               "and test/ (or val/); give it with --data-dir")),
        ({"optim": {"lr": True}}, "optim.lr = True: allowed: a value of another kind than true or false"),
        ({"data": {"dir": ""}}, "data.dir = '': allowed: the path of a folder; write . for this one"),
        ({"model": 3}, "model = 3: allowed: a table of settings"),
    ],
)  # fmt: skip
def test_one_problem(preset: dict[str, Any], expected: str) -> None:
    assert refusal(preset) == [f"my.toml: {expected}"]


def test_control_characters_of_a_file_do_not_reach_the_message() -> None:
    (line,) = refusal({"model": {"a\x1b]52;c;x\x07\u202e": 1}})
    assert not any(ord(c) < 32 or c in "\x07\x1b\u202e" for c in line)


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("optim.lr=0.05", "optim.lr", 0.05),
        ("schedule.milestones=[0.3, 0.6]", "schedule.milestones", [0.3, 0.6]),
        ("data.flip=true", "data.flip", True),
        ("model.shortcut=B", "model.shortcut", "B"),
        ("name=a=b", "name", "a=b"),
    ],
)
def test_assignments_are_read_as_toml_or_as_a_string(text: str, key: str, value: object) -> None:
    assert parse_assignment(text) == (key, value)


@pytest.mark.parametrize("text", ["optim.lr", "=3", ""])
def test_an_assignment_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"write section\.key=value"):
        parse_assignment(text)


def test_a_toml_error_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.toml"
    file.write_text("[model]\ndepth = = 3\n")
    with pytest.raises(ConfigError, match=r"broken\.toml: not valid TOML: .*line 2"):
        read_toml(file)


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "large.toml").write_bytes(b"#" * (2 << 20))
    for name, why in (("binary", "not UTF-8"), ("large", "larger than 65,536 bytes"), ("none", "No such file")):
        with pytest.raises(ConfigError, match=why):
            read_toml(tmp_path / f"{name}.toml")


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no such preset or file; did you mean 'resnet20-cifar10'"):
        presets.load("resnet20-cifar")


@pytest.mark.parametrize("wanted", ["", ".", "preset.txt"])
def test_what_is_there_and_no_preset_is_said_to_be_so(
    wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "preset.txt").touch()
    words = {"": "no such preset", ".": "this is a folder", "preset.txt": "no file whose name ends in .toml"}[wanted]
    with pytest.raises(ConfigError, match=words):
        presets.load(wanted)


def test_the_papers_recipe_is_64000_iterations() -> None:
    tree, file = presets.load("resnet20-cifar10")
    config = build_config(tree, {}, file)
    steps = config.train.epochs * -(-45_000 // config.train.batch_size)
    assert steps == 64_064
    assert config.schedule.milestones == (0.5, 0.75)
    assert (config.optim.lr, config.optim.momentum, config.optim.weight_decay) == (0.1, 0.9, 1e-4)


def test_equal_configurations_are_equal_values() -> None:
    assert RunConfig() == RunConfig.model_validate_json(RunConfig().model_dump_json())


def test_names_longer_than_a_file_system_takes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such preset"):
        presets.load("x" * 400 + ".toml")
    with pytest.raises(UserError, match="is no run"):
        run_dir.find(tmp_path, "x" * 400)


def test_a_number_of_thousands_of_digits_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text("a = " + "9" * 5000)
    with pytest.raises(ConfigError, match="not valid TOML"):
        read_toml(file)


def test_a_relative_data_folder_becomes_absolute() -> None:
    config = build_config({"data": {"dataset": "imagefolder", "dir": "pictures"}}, {}, "my.toml")
    assert config.data.dir == Path.cwd() / "pictures"


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        ({"depth": 32}, "--arch resnet --depth 32"),
        ({"depth": 34, "stem": "imagenet"}, "--arch resnet --depth 34 --stem imagenet"),
        (
            {"depth": 164, "block": "bottleneck", "preactivation": True},
            "--arch resnet --depth 164 --block bottleneck --shortcut B --set model.preactivation=true",
        ),
        ({"depth": 50, "block": "basic"}, "--arch resnet --depth 50 --set model.stages=3 --block basic --shortcut A"),
        ({"arch": "densenet", "depth": 100, "variant": "bc"}, "--arch densenet --depth 100 --set model.variant=bc"),
        ({"arch": "inception-resnet", "blocks": [1, 1, 1]}, "--arch inception-resnet --set 'model.blocks=[1,1,1]'"),
    ],
)
def test_flags_that_are_suggested_give_the_same_network(given: dict[str, Any], flags: str) -> None:
    model = build_config({"model": given}, {}).model
    assert as_flags(model) == flags
    words = shlex.split(flags)
    parsed: dict[str, tuple[str, Any]] = {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        key, setting = parse_assignment(value) if flag == "--set" else (f"model.{flag[2:]}", value)
        parsed[key] = (flag, setting)
    assert build_config({}, parsed).model == model


@pytest.mark.parametrize(
    "assignment", ['model.arch=["a"]', 'model.block=["basic"]', "model.stem=3", "model.depth=[50]"]
)
def test_values_of_another_kind_are_refused_in_words(assignment: str) -> None:
    key, value = parse_assignment(assignment)
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        build_config({"model": {"depth": 50}}, {key: ("--set", value)})


@pytest.mark.parametrize(
    "model",
    [
        {"arch": "inception-resnet", "width": 0.01},
        {"arch": "inception-resnet", "blocks": [101, 1, 1]},
        {"arch": "residual-mlp", "widths": [32, 100_000]},
        {"arch": "residual-mlp", "widths": [32]},
        {"arch": "densenet", "growth": 0},
        {"arch": "highway", "gate_bias": float("inf")},
    ],
)
def test_sizes_have_bounds(model: dict[str, Any]) -> None:
    assert refusal({"model": model})


def test_different_networks_have_different_names() -> None:
    models: list[dict[str, Any]] = [
        {}, {"depth": 32}, {"shortcut": "none"}, {"width": 2}, {"preactivation": True}, {"arch": "highway"},
        {"arch": "highway", "width": 0.5}, {"arch": "densenet"}, {"arch": "densenet", "growth": 24},
        {"arch": "densenet", "variant": "bc"}, {"arch": "inception-resnet"},
        {"arch": "inception-resnet", "blocks": [1, 1, 1]}, {"arch": "residual-mlp"},
        {"arch": "residual-mlp", "widths": [8, 8]},
    ]  # fmt: skip
    slugs = [build_config({"model": model}, {}).model.slug for model in models]
    assert len(set(slugs)) == len(models), slugs
    assert all(RunConfig(name=slug) for slug in slugs), "fit for a folder's name"
