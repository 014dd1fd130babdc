"""Checkpoints on disk: what is kept, what is noticed, where loading falls back to."""

import json
import logging
import os
import shutil

import ml_dtypes
import numpy as np
import pytest

from plainformer.checkpoints.safetensors import load_file
from plainformer.errors import CheckpointError
from plainformer.models import GPT2LMHeadModel
from plainformer.training import TrainerCallback
from plainformer.training.checkpoint import CheckpointDirectory, read_checkpoint

from .tiny import tiny_trainer, tree, weights


def names(output_dir):
    return sorted(p.name for p in output_dir.glob("checkpoint-*"))


def damage(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_a_checkpoint_is_a_model_directory_and_the_state_beside_it(tmp_path):
    trainer = tiny_trainer(tmp_path)
    trainer.train()
    checkpoint = tmp_path / "checkpoint-10"
    assert {"config.json", "model.safetensors", "optimizer.safetensors", "trainer_state.json",
            "checksums.json"} <= {p.name for p in checkpoint.iterdir()}  # fmt: skip
    assert weights(GPT2LMHeadModel.from_pretrained(checkpoint)) == weights(trainer.model)
    assert (tmp_path / "latest").read_text().strip() == "checkpoint-10"


def test_bfloat16_weights_are_stored_beside_their_float32_masters(tmp_path):
    tiny_trainer(tmp_path, bf16=True).train()
    model = load_file(tmp_path / "checkpoint-10/model.safetensors")
    state = load_file(tmp_path / "checkpoint-10/optimizer.safetensors")
    assert {a.dtype for a in model.values()} == {np.dtype(ml_dtypes.bfloat16)}
    assert {a.dtype for a in state.values()} == {np.dtype(np.float32)}
    for name, array in model.items():
        master = state[f"master.{name}"]
        assert master.astype(ml_dtypes.bfloat16).tobytes() == array.tobytes()
        assert master.astype(ml_dtypes.bfloat16).astype(np.float32).tobytes() != master.tobytes()


def test_without_bfloat16_there_are_no_masters(tmp_path):
    tiny_trainer(tmp_path).train()
    state = load_file(tmp_path / "checkpoint-10/optimizer.safetensors")
    assert {name.split(".")[0] for name in state} == {"exp_avg", "exp_avg_sq"}


def test_the_newest_are_kept(tmp_path):
    tiny_trainer(tmp_path, save_steps=2, save_total_limit=2).train()
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-8"]


def test_without_a_limit_all_are_kept(tmp_path):
    tiny_trainer(tmp_path, save_strategy="epoch", save_total_limit=0).train()
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-5"]


def test_save_strategy_no_writes_no_checkpoint(tmp_path):
    tiny_trainer(tmp_path, save_strategy="no").train()
    assert [p.name for p in tmp_path.glob("*") if p.is_dir()] == []


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.safetensors", "trainer_state.json", "config.json"]
)
def test_a_damaged_newest_one_is_passed_over_with_a_message(tmp_path, caplog, file):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    for output_dir in (whole, resumed):
        tiny_trainer(output_dir, save_steps=4, save_total_limit=3).train()
    damage(resumed / "checkpoint-10" / file)
    with caplog.at_level(logging.WARNING, "plainformer"):
        trainer = tiny_trainer(resumed, save_steps=4, save_total_limit=3)
        trainer.train(resume_from_checkpoint=True)
    assert f"checkpoint-10/{file}: damaged" in caplog.text
    assert "falling back to the checkpoint before it" in caplog.text
    assert tree(resumed) == tree(whole)


def test_a_missing_file_is_noticed_too(tmp_path, caplog):
    tiny_trainer(tmp_path, save_steps=5).train()
    (tmp_path / "checkpoint-10/optimizer.safetensors").unlink()
    assert CheckpointDirectory(tmp_path, None).load(True).path.name == "checkpoint-5"
    assert "optimizer.safetensors: missing" in caplog.text


def test_all_damaged_is_an_error(tmp_path):
    tiny_trainer(tmp_path, save_steps=5).train()
    for name in names(tmp_path):
        damage(tmp_path / name / "model.safetensors")
    with pytest.raises(CheckpointError, match="holds no good checkpoint to resume from"):
        tiny_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_a_checkpoint_asked_for_by_name_is_not_replaced_by_another(tmp_path):
    tiny_trainer(tmp_path, save_steps=5).train()
    damage(tmp_path / "checkpoint-10/model.safetensors")
    with pytest.raises(CheckpointError, match=r"checkpoint-10/model.safetensors: damaged"):
        tiny_trainer(tmp_path).train(resume_from_checkpoint=tmp_path / "checkpoint-10")


def test_a_damaged_pointer_is_only_a_warning(tmp_path, caplog):
    tiny_trainer(tmp_path).train()
    (tmp_path / "latest").write_text("../elsewhere\n")
    assert CheckpointDirectory(tmp_path, None).load(True).path.name == "checkpoint-10"
    assert "latest" in caplog.text


def test_a_model_that_was_only_saved_cannot_be_resumed_from(tmp_path):
    trainer = tiny_trainer(tmp_path)
    trainer.save_model(tmp_path / "model")
    with pytest.raises(CheckpointError):
        tiny_trainer(tmp_path).train(resume_from_checkpoint=tmp_path / "model")


def test_a_state_without_its_counters_is_named(tmp_path):
    tiny_trainer(tmp_path).train()
    path = tmp_path / "checkpoint-10"
    loaded = read_checkpoint(path)
    del loaded.values["state"]["best_step"]
    (path / "trainer_state.json").write_text(json.dumps(loaded.values))
    from plainformer.checkpoints.checksums import write_checksums

    write_checksums(path)
    with pytest.raises(CheckpointError, match=r"trainer_state.json: misses best_step"):
        tiny_trainer(tmp_path).train(resume_from_checkpoint=True)


def test_what_a_killed_process_left_half_written_is_removed(tmp_path, caplog):
    left = tmp_path / ".checkpoint-3.0badcafe0badcafe.plainformer-partial"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    with caplog.at_level(logging.INFO, "plainformer"):
        tiny_trainer(tmp_path).train()
    assert not left.exists()
    assert "left half written by a former run" in caplog.text


def test_what_a_killed_process_did_not_delete_any_more_is_deleted(tmp_path):
    tiny_trainer(tmp_path, save_steps=2, save_total_limit=None).train()
    tiny_trainer(tmp_path, save_steps=2, save_total_limit=2).train(resume_from_checkpoint=True)
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-8"]


def test_a_linked_checkpoint_is_rotated_and_what_it_leads_to_stays(tmp_path):
    """People move large checkpoints to another disk and leave a link."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for output_dir, steps in ((whole, 10), (parts, 4)):
        tiny_trainer(output_dir, save_steps=2, max_steps=steps).train()
    (parts / "checkpoint-2").rename(tmp_path / "elsewhere")
    (parts / "checkpoint-2").symlink_to(tmp_path / "elsewhere")
    (parts / "checkpoint-1").symlink_to(tmp_path / "nowhere")
    (parts / "checkpoint-9").write_text("a file of mine")
    moved = tree(tmp_path / "elsewhere")
    tiny_trainer(parts, save_steps=2).train(resume_from_checkpoint=True)
    (parts / "checkpoint-1").unlink()
    (parts / "checkpoint-9").unlink()
    assert names(parts) == names(whole) == ["checkpoint-10", "checkpoint-8"]
    assert tree(tmp_path / "elsewhere") == moved


def test_resuming_from_a_linked_checkpoint_of_this_run_goes_back_to_it(tmp_path):
    tiny_trainer(tmp_path, save_steps=2, save_total_limit=None).train()
    before = tree(tmp_path)
    (tmp_path / "checkpoint-4").rename(tmp_path / "moved")
    (tmp_path / "checkpoint-4").symlink_to(tmp_path / "moved")
    tiny_trainer(tmp_path, save_steps=2, save_total_limit=None).train(tmp_path / "checkpoint-4")
    after = {name: data for name, data in tree(tmp_path).items() if not name.startswith("moved")}
    assert after == {k: v for k, v in before.items() if not k.startswith("checkpoint-4/")}


@pytest.mark.parametrize("resume", [False, True], ids=["fresh", "resumed"])
@pytest.mark.parametrize("name", ["log.jsonl", "timing.jsonl", "latest"])
def test_nothing_is_written_through_a_planted_link(tmp_path, name, resume):
    output_dir = tmp_path / "out"
    tiny_trainer(output_dir, max_steps=4).train()
    (tmp_path / "mine").write_text("kept")
    (output_dir / name).unlink()
    (output_dir / name).symlink_to(tmp_path / "mine")
    options = {} if resume else {"overwrite_output_dir": True}
    tiny_trainer(output_dir, **options).train(resume_from_checkpoint=resume)
    assert (tmp_path / "mine").read_text() == "kept"
    assert not (output_dir / name).is_symlink()


def test_a_link_planted_while_it_runs_ends_the_run(tmp_path):
    class Plant(TrainerCallback):
        def on_step_end(self, args, state, control):
            if state.global_step == 3:
                (tmp_path / "out" / "timing.jsonl").unlink()
                (tmp_path / "out" / "timing.jsonl").symlink_to(tmp_path / "mine")

    (tmp_path / "mine").write_text("kept")
    with pytest.raises(CheckpointError, match=r"timing.jsonl: not written: .*symbolic links"):
        tiny_trainer(tmp_path / "out", callbacks=[Plant()]).train()
    assert (tmp_path / "mine").read_text() == "kept"


def test_private_files_stay_private_when_a_run_goes_on(tmp_path):
    tiny_trainer(tmp_path, max_steps=4).train()
    files = [p for p in tmp_path.iterdir() if p.is_file()]
    for path in files:
        path.chmod(0o600)
    tiny_trainer(tmp_path).train(resume_from_checkpoint=True)
    assert {p.name: p.stat().st_mode & 0o777 for p in files} == {p.name: 0o600 for p in files}
    assert {p.name for p in files} == {"log.jsonl", "timing.jsonl", "latest"}


@pytest.mark.parametrize("strategy", ["no", "steps"])
@pytest.mark.parametrize("again", [False, True], ids=["gone", "made again"])
def test_a_directory_removed_at_any_update_is_an_error(tmp_path, strategy, again):
    """Also after its last record was written."""

    class Remove(TrainerCallback):
        def __init__(self, step, event):
            self.step, self.event = step, event

        def on_step_end(self, args, state, control):
            if (state.global_step, self.event) == (self.step, "step"):
                self.remove()

        def on_train_end(self, args, state, control):
            if self.event == "end":
                self.remove()

        def remove(self):
            shutil.rmtree(tmp_path / "out")
            if again:
                (tmp_path / "out").mkdir()

    options = {"save_strategy": strategy, "logging_steps": 3, "max_steps": 6}
    if strategy == "steps":
        options["save_steps"] = 4
    for step in range(1, 7):
        event = "step" if step < 6 else "end"
        with pytest.raises(CheckpointError, match="out"):
            tiny_trainer(tmp_path / "out", callbacks=[Remove(step, event)], **options).train()
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_tokenizers_go_into_every_model_directory(tmp_path):
    class Tokenizer:
        def save(self, path):
            with open(path, "w") as file:
                file.write("{}")

    trainer = tiny_trainer(tmp_path)
    trainer.processing_class = Tokenizer()
    trainer.train()
    trainer.save_model()
    assert (tmp_path / "checkpoint-10/tokenizer.json").exists()
    assert (tmp_path / "tokenizer.json").exists()


def test_names_that_we_do_not_give_are_no_checkpoints(tmp_path):
    """Each step has one name; what else looks like one is another's."""
    for name in ("checkpoint-007", "checkpoint-00", "checkpoint-\u0663", "checkpoint-1x"):
        (tmp_path / name).mkdir()
    (tmp_path / "checkpoint-7").write_text("a file")
    directory = CheckpointDirectory(tmp_path, 1)
    assert directory.steps() == []
    directory.check_unused()
    directory.clear()
    assert len(list(tmp_path.iterdir())) == 5


def test_a_folder_that_may_not_be_read_is_passed_over(tmp_path, monkeypatch):
    """Such as lost+found, where a whole volume is the output directory."""
    (tmp_path / "lost+found").mkdir()
    scanned = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", path)
        return scanned(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert tiny_trainer(tmp_path).train().global_step == 10
