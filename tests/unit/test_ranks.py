"""What each of several processes takes of a batch, and what is refused before any of them begins."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch
from support import tiny

from engine.config import RunConfig
from engine.data.dataset import Dataset
from engine.data.pipeline import eval_batches, in_memory, train_batches
from engine.data.sources import load
from engine.devices import check_processes, resolve
from engine.errors import ConfigError, UserError
from engine.evaluation import Evaluation
from engine.parallel.ranks import Rank, changed_number, this_rank
from resnet_tui.commands.options import Flags
from resnet_tui.commands.processes import process_flags

CPU = torch.device("cpu")
FOUR: Flags = {"train.processes": ("--set train.processes=4", 4)}
Told = dict[str, str]


def ranks(size: int) -> list[Rank]:
    return [Rank(number, size, number, size) for number in range(size)]


def dataset(config: RunConfig) -> Dataset:
    loading = load(config.data, config.train.seed)
    while True:
        try:
            next(loading)
        except StopIteration as end:
            loaded: Dataset = end.value
            return loaded


def test_shares_are_neighbours_as_even_as_can_be_and_count_as_the_batch_does() -> None:
    for size in (2, 3, 4, 7):
        for images in range(2 * size, 60):
            shares = [rank.share(images) for rank in ranks(size)]
            lengths = [share.stop - share.start for share in shares]
            assert [i for share in shares for i in range(images)[share]] == [*range(images)]
            assert max(lengths) - min(lengths) <= 1
            scales = [rank.scale(own, images) for rank, own in zip(ranks(size), lengths, strict=True)]
            for own, scale in zip(lengths, scales, strict=True):
                assert scale / size == pytest.approx(own / images), "each image counts the same"


def test_a_batch_too_small_to_share_is_trained_whole_by_each() -> None:
    for rank in ranks(4):
        assert range(7)[rank.share(7)] == range(7)
        assert rank.scale(7, 7) == 1


@pytest.mark.parametrize("residence", ["memory", "stream"])
@pytest.mark.parametrize("changes", [{"crop_padding": 2, "flip": True, "cutout": 4}, {"flip": True, "mixup": 0.5}])
def test_the_shares_of_all_ranks_are_the_batches_of_one_process(residence: str, changes: dict[str, object]) -> None:
    """The last batch of 11 is shared unevenly."""
    settings = {f"data__{key}": value for key, value in changes.items()}
    config = tiny(data__synthetic_size=75, data__residence=residence, data__workers=0, **settings)
    data = dataset(config)
    whole = list(train_batches(data, config, CPU).epoch(2))
    for size in (2, 3):
        shares = [list(train_batches(data, config, CPU, rank).epoch(2)) for rank in ranks(size)]
        for batch, *parts in zip(whole, *shares, strict=True):
            assert torch.equal(torch.cat([part.x for part in parts]), batch.x)
            assert torch.equal(torch.cat([part.y_B for part in parts]), batch.y_B)
            assert all(part.images == len(batch.y_B) and part.mix == batch.mix for part in parts)
            if batch.y_mixed_B is not None:
                mixed = [part.y_mixed_B for part in parts if part.y_mixed_B is not None]
                assert torch.equal(torch.cat(mixed), batch.y_mixed_B)


def test_every_sample_is_evaluated_by_one_rank() -> None:
    config = tiny(train__eval_batch_size=4)
    data = dataset(config)
    whole = torch.cat([x for x, _ in eval_batches(data.test, data, config, CPU)])
    for size in (2, 3, 8):
        splits = [eval_batches(data.test, data, config, CPU, rank) for rank in ranks(size)]
        parts = [[x for x, _ in split] for split in splits]
        assert torch.equal(torch.cat([x for part in parts for x in part]), whole)
        assert {len(split) for split in splits} == {max(map(len, parts))}, "all go through as many rounds"
        starts = [sum(len(x) for part in parts[:number] for x in part) for number in range(size)]
        assert [split.first for split in splits] == starts


class Together:
    """Two ranks that have counted already, in one process: what the second has, the first is told."""

    def __init__(self, other: Evaluation, first: int) -> None:
        self.other, self.first, self._sums = other, first, iter((other._confusion, other._loss, other._top5))

    def sum_(self, tensor: torch.Tensor) -> None:
        tensor += next(self._sums)

    def gather_rows(self, rows: torch.Tensor) -> list[torch.Tensor]:
        index, predicted, log = self.other._worst()
        others = torch.full_like(rows, -torch.inf)
        others[:, : len(index)] = torch.stack((index + self.first, predicted, log.double()))
        return [rows, others]


def test_an_evaluation_in_parts_is_that_of_the_whole() -> None:
    logits_NK, y_N = torch.randn(100, 12, generator=torch.Generator().manual_seed(1)), torch.arange(100) % 12
    whole, one, other = (Evaluation(12, CPU) for _ in range(3))
    whole.add(logits_NK, y_N)
    one.add(logits_NK[:60], y_N[:60])
    other.add(logits_NK[60:], y_N[60:])
    one.unite(Together(other, 60), 0)  # type: ignore[arg-type]
    united, expected = one.scores(), whole.scores()
    assert united.loss == pytest.approx(expected.loss)
    assert replace(united, loss=expected.loss) == expected
    assert one.most_confidently_wrong() == whole.most_confidently_wrong()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train__processes": 9}, "fewer than two images a process of train.batch_size = 16"),
        ({"train__processes": 4, "optim__accumulate": 4}, "a batch of at least 32"),
        ({"train__processes": 2, "train__device": "cuda:1"}, "cuda, which gives each a GPU of its own"),
        ({"train__processes": 2, "train__device": "mps"}, "cannot share train.device = 'mps'"),
        ({"train__processes": 2, "train__compile": True}, "only one process alone compiles"),
        ({"train__processes": 0}, "greater than or equal to 1"),
    ],
)
def test_what_several_processes_cannot_do_is_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        tiny(**settings)


@pytest.mark.parametrize(("count", "said"), [(0, "has no GPU"), (1, "has 1 GPU that .*--gpus 1"), (3, "has 3 GPUs")])
def test_more_gpus_than_there_are(monkeypatch: pytest.MonkeyPatch, count: int, said: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    with pytest.raises(UserError, match=f"train.processes = 4 .*this machine {said}"):
        check_processes("cuda", 4)
    with pytest.raises(UserError, match=said):
        resolve("cuda", Rank(5, 8, 1, 4))


def test_more_processes_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.devices.usable_cores", lambda: 3)
    monkeypatch.setattr("engine.devices.available", lambda: ["cpu"])
    for name in ("cpu", "auto"):
        check_processes(name, 3)
        with pytest.raises(UserError, match=r"train\.processes = 4: .* use 3 cores.*use at most 3") as refused:
            check_processes(name, 4)
        assert "gpu" not in str(refused.value).lower()
    with pytest.raises(UserError, match="at most 3"):
        resolve("cpu", Rank(5, 8, 1, 4))


def test_a_device_that_gpus_asks_for_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of several processes on the CPU may go on as one, which ``--gpus 1`` does not mean."""
    monkeypatch.setattr("engine.devices.available", lambda: ["cpu"])
    with pytest.raises(
        UserError, match=r"'cuda' \(--device, or --gpus\): not on this machine.*--set train\.processes=N"
    ):
        resolve("cuda")


def test_what_is_free_is_shared_by_the_processes_of_a_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny()
    samples = dataset(config).train
    monkeypatch.setattr("engine.data.pipeline.memory", lambda _: (6 * samples.nbytes + 6, 0))
    kept = [in_memory(samples, config.data, CPU, Rank(0, 8, 0, here)) for here in (1, 2, 3, 4)]
    assert kept == [True, True, True, False]
    assert in_memory(samples, config.data, torch.device("cuda", 0), Rank(0, 8, 0, 4)), "each has its own"


def test_each_process_of_a_machine_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("engine.devices.usable_cores", lambda: 4)
    assert [str(resolve(name, Rank(6, 8, 2, 4))) for name in ("auto", "cuda")] == ["cuda:2", "cuda:2"]
    assert str(resolve("cpu", Rank(6, 8, 2, 4))) == "cpu"


def test_a_process_knows_its_rank_from_torchs_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert this_rank() is None, "somebody else's variables"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert this_rank() == Rank(5, 8, 1, 4)
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    assert this_rank() is None


@pytest.mark.parametrize("wrong", [{}, {"RANK": ""}, {"WORLD_SIZE": "two"}, {"RANK": "2"}, {"LOCAL_WORLD_SIZE": "3"}])
def test_half_of_what_torchs_launcher_says_is_one_message(monkeypatch: pytest.MonkeyPatch, wrong: Told) -> None:
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    told = dict(zip(names, ("1", "2", "1", "2"), strict=True)) | wrong if wrong else {}
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", **told}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError) as refused:
        this_rank()
    assert all(f"{name} = {told.get(name, '')!r}" in str(refused.value) for name in names)
    assert "unset TORCHELASTIC_RUN_ID" in str(refused.value)


@pytest.mark.parametrize(
    ("gpus", "given", "rank", "said"),
    [
        ("2", {"train.device": ("--set train.device=cpu", "cpu")}, None, "--gpus 2 and --set train.device=cpu"),
        ("2", {"train.device": ("--device cuda:1", "cuda:1")}, None, "--gpus 2 and --device cuda:1"),
        ("2", FOUR, None, "--gpus 2 and --set train.processes=4"),
        ("2", FOUR, Rank(0, 2, 0, 2), "--gpus 2 and --set train.processes=4"),
        ("3", {}, Rank(0, 2, 0, 2), "--gpus 3 and torchrun, which has started 2 processes"),
        (None, FOUR, Rank(0, 2, 0, 2), "--set train.processes=4 and torchrun, which has started 2 processes"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(
    gpus: str | None, given: Flags, rank: Rank | None, said: str
) -> None:
    with pytest.raises(UserError, match=f"{re.escape(said)}: give one of them"):
        process_flags(gpus, given, rank)


def test_what_was_started_with_the_same_flags_is_as_they_say() -> None:
    for gpus, given, wanted in (
        (None, FOUR, {"train.processes": 4}),
        ("4", {}, {"train.processes": 4, "train.device": "cuda"}),
        (None, {}, {"train.processes": 4}),
    ):
        flags = process_flags(gpus, given, Rank(1, 4, 1, 4))
        assert {key: value for key, (_, value) in flags.items()} == wanted


def test_a_changed_number_of_processes_is_said() -> None:
    one, two = tiny(), tiny(train__processes=2)
    assert changed_number(two, two) == ""
    assert "2 processes instead of one process" in changed_number(one, two)
    assert "norm statistics are of 8 images instead of 16" in changed_number(one, two)
