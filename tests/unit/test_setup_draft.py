"""The configuration behind the set-up form: the command line's rules, and what follows from what."""

import ast
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from engine import presets
from engine.config import ARCHITECTURES, RunConfig
from engine.config_file import build_config
from engine.literature import published_on
from resnet_tui.commands.train import new_config
from resnet_tui.setup.depths import nearest_depth, next_depth
from resnet_tui.setup.draft import Draft
from resnet_tui.setup.fields import FIELDS, PRESET
from resnet_tui.setup.line_edit import LineEdit


def edited(preset: str = "quickstart", **values: Any) -> Draft:
    draft = Draft.from_preset(preset)
    for key, value in values.items():
        name = key.replace("__", ".")
        draft.typed(name, value) if isinstance(value, str) and not FIELDS[name].choices(draft.value) else draft.set(
            name, value
        )
    return draft


def test_the_form_has_every_setting_that_there_is() -> None:
    every = {"name"}
    for section, info in RunConfig.model_fields.items():
        parts = ARCHITECTURES.values() if section == "model" else [info.annotation]
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                every |= {f"{section}.{key}" for key in part.model_fields}

    assert set(FIELDS) - {PRESET} == every


@pytest.mark.parametrize("preset", presets.shipped_names())
def test_every_preset_can_be_edited_and_given_back_unchanged(preset: str) -> None:
    draft = Draft.from_preset(preset)
    tree, file = presets.load(preset)
    assert draft.result(Path("runs")) == build_config(tree, {}, file)

    again = Draft.from_config(draft.result(Path("runs")))
    assert again.result(Path("runs")) == draft.result(Path("runs"))
    assert again.changed == ()


def test_a_draft_becomes_the_run_that_the_command_would_train() -> None:
    draft = edited(model__depth="56", train__epochs="5", data__dataset="synthetic", optim__lr="0.05")
    flags = {
        "model.depth": ("--depth", "56"),
        "train.epochs": ("--epochs", "5"),
        "data.dataset": ("--dataset", "synthetic"),
        "optim.lr": ("--lr", "0.05"),
    }

    assert draft.result(Path("runs")) == new_config("quickstart", flags, Path("runs"))
    assert draft.name == "resnet56-synthetic"


def test_weights_of_a_file_are_kept_with_their_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "w.pt").touch()
    monkeypatch.chdir(tmp_path)

    assert edited(weights__source="w.pt").result(Path("runs")).weights.source == str(tmp_path / "w.pt")


def test_a_setting_that_is_back_at_the_presets_value_counts_as_unchanged() -> None:
    draft = edited(model__depth="56", train__epochs="5")
    draft.typed("model.depth", "20")
    draft.typed("train.epochs", "12")

    assert draft.changed == ()
    assert draft.name == "quickstart"


def test_a_value_of_the_preset_stays_a_choice_where_it_does_not_follow() -> None:
    draft = edited(model__depth="18")
    assert draft.text("model.shortcut") == "B"  # as the network of four stages has it
    draft.set("model.shortcut", "A")

    assert draft.shown.model == build_config({}, {"model.depth": ("", 18), "model.shortcut": ("", "A")}).model


def test_an_invalid_depth_is_told_where_it_stands_with_the_nearest() -> None:
    draft = edited(model__depth="57", train__batch_size="many")

    assert draft.config is None
    assert "56 and 62" in draft.problems["model.depth"] or set(draft.problems) == {"train.batch_size", "model.depth"}
    assert draft.problems["train.batch_size"] == "allowed: a whole number"
    assert draft.text("model.depth") == "57"
    assert draft.shown.train.epochs == 12


@pytest.mark.parametrize(
    ("values", "blamed"),
    [
        ({"schedule__warmup_epochs": "5", "train__epochs": "5"}, "train.epochs"),
        ({"train__epochs": "5", "schedule__warmup_epochs": "5"}, "schedule.warmup_epochs"),
        ({"data__dataset": "imagefolder"}, "data.dir"),
        ({"prune__amount": "0.5"}, "prune.after_epochs"),
        ({"optim__accumulate": "33"}, "optim.accumulate"),
        ({"schedule__name": "multistep", "schedule__milestones": "0.5, 2"}, "schedule.milestones"),
        ({"optim__name": "adam", "optim__betas": "0.9, x"}, "optim.betas"),
        ({"name": "../up"}, "name"),
    ],
)
def test_a_rule_blames_the_entry_that_was_changed_last_and_gives_no_flags(
    values: dict[str, Any], blamed: str
) -> None:
    draft = edited(**values)

    assert list(draft.problems) == [blamed]
    assert draft.problems[blamed]
    assert "--" not in draft.problems[blamed]


def test_what_cannot_stay_follows() -> None:
    assert edited(optim__name="adam").config is not None  # the preset has Nesterov momentum
    assert edited(model__depth="32", model__block="bottleneck").value("model.depth") == 29
    assert edited(model__stages=4).value("model.depth") == 18
    assert edited(data__dataset="iris").shown.model.arch == "residual-mlp"
    assert edited("iris", data__dataset="digits").shown.model.arch == "resnet"
    assert edited(model__arch="residual-mlp").shown.data.dataset == "iris"
    source = edited(weights__source="run", weights__head="fresh")
    source.typed("weights.source", "")
    assert source.config is not None


def test_another_architecture_begins_with_its_own_defaults() -> None:
    draft = edited(model__depth="56", model__width="2")
    draft.set("model.arch", "densenet")
    assert draft.shown.model.model_dump() == {"arch": "densenet", "depth": 40, "growth": 12, "variant": "plain"}
    draft.set("model.arch", "resnet")
    assert draft.changed == ()


def test_another_preset_takes_everything_but_device_and_folder() -> None:
    draft = edited(train__device="cpu", data__dir="/data", train__epochs="3", model__depth="32")
    draft = draft.replaced("resnet56-cifar10", presets.load("resnet56-cifar10")[0])

    assert set(draft.changed) == {"train.device", "data.dir"}
    assert draft.name == "resnet56-cifar10"
    assert draft.shown.train.epochs == 182
    assert draft.reset().changed == ()


def test_fields_appear_with_the_choices_that_give_them_a_meaning() -> None:
    def shown(draft: Draft) -> set[str]:
        return {field.key for field in FIELDS.values() if field.shown(draft.value)}

    sgd, adam = shown(edited()), shown(edited(optim__name="adam"))
    assert {"optim.momentum", "optim.nesterov"} == sgd - adam
    assert {"optim.betas"} == adam - sgd
    assert not {"data.dir", "data.image_size", "schedule.milestones", "schedule.warmup", "model.growth"} & sgd
    assert {"schedule.milestones", "schedule.gamma"} <= shown(edited(schedule__name="multistep"))
    assert {"schedule.warmup", "schedule.warmup_start"} <= shown(edited(schedule__warmup_epochs="0.5"))
    assert {"data.dir", "data.image_size"} <= shown(edited(data__dataset="imagefolder"))
    assert not {"data.crop_padding", "data.flip", "data.normalise"} & shown(edited("iris"))


def test_published_accuracies_are_known_by_the_name_of_the_dataset() -> None:
    model = edited(model__depth="56", model__shortcut="B").shown.model
    known = [published_on(model, dataset) for dataset in ("cifar10", "cifar100", "digits")]
    assert [found and found.accuracy for found in known] == [0.9421, 0.7237, None]


def test_depths_are_found_by_the_rule() -> None:
    def valid(depth: int) -> bool:
        return depth % 6 == 2 and depth > 2

    assert next_depth(valid, 20, 1) == 26
    assert next_depth(valid, 8, -1) is None
    assert nearest_depth(valid, 57) == 56
    assert nearest_depth(valid, 1) == 8


def test_a_line_is_edited_as_everywhere() -> None:
    edit = LineEdit("12")
    edit.insert("5")
    assert edit.text == "5"  # what was there is replaced
    for key in ("left", "backspace"):
        edit.press(key)
    edit.insert("10.")
    assert (edit.text, edit.cursor) == ("10.5", 3)
    edit.press("ctrl+k")
    edit.press("home")
    edit.press("delete")
    assert edit.text == "0."
    assert edit.seen(2) == ("0.", 0)
    assert not edit.press("f5")


def test_the_form_needs_no_torch_and_no_numpy() -> None:
    import subprocess
    import sys

    code = (
        "import sys, resnet_tui.screens.setup; print([m for m in ('torch', 'numpy', 'plotext') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert ast.literal_eval(out) == []
