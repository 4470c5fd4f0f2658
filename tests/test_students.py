"""Students: tokenizer, loading, fine-tuning, generation, scoring, saving; random weights and few steps."""

import json
import os
import string
import subprocess
import sys
from unittest.mock import Mock

import pytest
import shared_training
import torch
from conftest import refused
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, MambaConfig
from transformers import PreTrainedTokenizerFast as FastTokenizer

from scicot_utils import arms, microsci, prompts, recipe, students
from scicot_utils.microsci import pretraining, probing
from scicot_utils.prompts import SEPARATOR
from scicot_utils.students import building, encoding, generation, loading, losses, packing, training
from scicot_utils.tasks import symbolic

KINDS = ("random/micro", "random/gpt2-tiny")
PAIRS = 4 * [("(A) raft (B) robin Answer:", "robin"), ("(A) cod (B) oak Answer:", "oak"), ("Copy: rain", "rain")]
SENTENCE = "A raft is a watercraft, a vehicle."


@pytest.fixture(scope="module")
def student():
    return students.load("random/micro", seed=0)


def train(student, folder, pairs=PAIRS, **changes):
    settings = {
        "steps": 4, "batch_size": 4, "learning_rate": 1e-3, "schedule": "cosine", "warmup_ratio": 0.1,
        "weight_decay": 0.05, "max_grad_norm": 1.0, "dropout": 0.1, "freeze_embeddings": True,
        "max_input_tokens": 64, "max_target_tokens": 64, "seed": 0, "adam_beta2": 0.98, "threads": 1,
    }  # fmt: skip
    names = ("prefixes", "validation_pairs", "asked", "enough")
    data = {name: changes.pop(name) for name in names if name in changes}
    options = students.TrainingOptions(**settings | changes)
    return students.fine_tune(student, pairs, options, output_dir=folder, show_progress=False, **data)


LEARNING = {"steps": 60, "learning_rate": 3e-3, "freeze_embeddings": False}


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    """A decoder-only student that has learned three answers, so that its texts say something and end."""
    run = students.load("random/gpt2-tiny")
    train(run, tmp_path_factory.mktemp("decoder"), **LEARNING, dropout=0.0)
    return run


@pytest.fixture(params=KINDS)
def either(request, student, decoder):
    """A student of each kind, the decoder-only one trained."""
    return {"random/micro": student, "random/gpt2-tiny": decoder}[request.param]


def by_hand(student, source, target, prefix=""):
    """Log-probabilities of a target's tokens and its end, one forward pass for each, without padding or batches."""

    def tokens(text):
        return student.tokenizer(text, add_special_tokens=False)["input_ids"]

    if student.decoder_only:
        given, name, ids = {}, "input_ids", tokens(f"{source}{student.separator}{f' {prefix}' if prefix else ''}")
    else:
        given, name = student.tokenizer(source, return_tensors="pt"), "decoder_input_ids"
        ids = [student.model.config.decoder_start_token_id, *tokens(prefix)]
    logs = []
    for token in [*tokens(target), student.tokenizer.eos_token_id]:
        with torch.no_grad():
            logits = student.model(**given, **{name: torch.tensor([ids])}).logits
        logs.append(logits[0, -1].log_softmax(-1)[token].item())
        ids = [*ids, token]
    return logs


def weights(student):
    return {name: tensor.clone() for name, tensor in student.model.state_dict().items()}


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_tokenizer_keeps_labels_arrow_words_and_marks_whole(student):
    text = "(A) raft (E) robin --> Which of these has feathers? so yes."
    assert student.tokenizer.tokenize(text) == [
        "(a)", "raft", "(e)", "robin", "-->", "which", "of", "these", "has", "feathers", "?", "so", "yes",
        ".",
    ]  # fmt: skip


@pytest.mark.parametrize("text", [SENTENCE, "Every bird has feathers.", "(A) raft (B) robin Which one has feathers?"])
def test_tokenizer_decodes_what_it_encoded_in_lower_case(student, text):
    ids = student.tokenizer(text)["input_ids"]
    assert ids[-1] == student.tokenizer.eos_token_id
    assert student.tokenizer.decode(ids, skip_special_tokens=True) == text.lower()


def test_tokenizer_knows_every_word_of_the_world(student):
    texts = [probe.target for probe in microsci.probes(microsci.load_world())]  # every fact once
    unknown = student.tokenizer.unk_token_id
    assert not any(unknown in ids for ids in student.tokenizer(texts)["input_ids"])


@pytest.mark.parametrize("name", symbolic.MAKERS)
def test_the_tokenizer_of_tiny_students_knows_the_symbolic_tasks_and_spells_other_words(name):
    tokenizer = students.load("random/t5-tiny").tokenizer
    rows = symbolic.questions(name, {"train": 40}, seed=3)
    texts = [" ".join([row["question"], *row["choices"]["text"]]) for row in rows]
    tokens = [tokenizer.tokenize(text) for text in texts]
    assert not any(token.startswith("##") or token == tokenizer.unk_token for words in tokens for token in words)
    assert tokenizer.tokenize("--> enct")[1:] == ["e", "##n", "##c", "##t"]
    assert tokenizer.decode(tokenizer("It is enct.")["input_ids"], skip_special_tokens=True) == "it is enct."


@pytest.mark.parametrize("answer_format", ["letter", "label", "text"])
@pytest.mark.parametrize("name", symbolic.MAKERS)
def test_what_a_tiny_student_is_taught_to_write_is_read_back_as_right_after_its_own_tokenizer(name, answer_format):
    """A tokenizer without capitals makes 'B' a 'b'."""
    tokenizer = students.load("random/gpt2-tiny").tokenizer
    settings = recipe.load("symbolic").settings("rationale_answer").model_copy(update={"answer_format": answer_format})
    for row in symbolic.questions(name, {"train": 40}, seed=3):
        [(_, target)] = arms.pairs([arms.BOTH], [(row, "So it is.")], settings)
        text = tokenizer.decode(tokenizer(target)["input_ids"], skip_special_tokens=True)
        assert prompts.read_answer(row, prompts.split_rationale_answer(text)[1]) == row["answer"]


def test_a_seed_gives_the_same_random_student_and_leaves_the_generator_alone(student):
    state = torch.get_rng_state()
    assert same(weights(student), weights(students.load("random/micro", seed=0)))
    assert not same(weights(student), weights(students.load("random/micro", seed=1)))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("random/giant", "allowed are random/micro, random/micro-small, .*random/t5-tiny"),
        ("nobody/nothing", r"student 'nobody/nothing' cannot be read .*HF_HUB_OFFLINE=1"),
    ],
)
def test_a_name_under_which_there_is_no_student_is_refused(monkeypatch, name, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with refused(students.StudentError, message):
        students.load(name)


def test_a_tokenizer_of_another_student_is_refused(student, tmp_path):
    students.save(student, tmp_path)
    building.word_tokenizer([f"word{i}" for i in range(2000)]).save_pretrained(tmp_path)
    with refused(students.StudentError, "knows 1431 tokens, its tokenizer has 2005: name its own one"):
        students.load(str(tmp_path))


def test_weights_may_lie_in_several_files(decoder, tmp_path):
    students.save(decoder, tmp_path)
    decoder.model.save_pretrained(tmp_path, max_shard_size="100KB")
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
    assert same(weights(students.load(str(tmp_path))), weights(decoder))


def test_the_embedded_student_comes_in_three_sizes():
    small, middle, large = (
        students.parameters(students.load(f"random/{name}")) for name in ("micro-small", "micro", "micro-large")
    )
    assert 0 < 2 * small < middle < large / 2


def test_saved_students_load_unchanged_and_replace_the_earlier_one(student, tmp_path):
    folder = tmp_path / "model"
    for _ in range(2):
        students.save(student, folder)
    loaded = students.load(str(folder))
    assert same(weights(student), weights(loaded))
    assert loaded.tokenizer(SENTENCE)["input_ids"] == student.tokenizer(SENTENCE)["input_ids"]
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "model.safetensors").stat().st_size < 4_000_000


def test_a_failed_save_leaves_the_earlier_one_whole(student, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    students.save(student, folder)
    with monkeypatch.context() as patch:
        patch.setattr(type(student.tokenizer), "save_pretrained", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            students.save(student, folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert students.load(str(folder))


def test_same_seed_gives_bit_identical_weights(tmp_path):
    runs = [students.load("random/micro") for _ in range(3)]
    for run, seed in zip(runs, (0, 0, 1), strict=True):
        train(run, tmp_path, seed=seed)
    assert same(weights(runs[0]), weights(runs[1]))
    assert not same(weights(runs[0]), weights(runs[2]))


def test_frozen_embeddings_stay_and_the_rest_moves(tmp_path):
    run = students.load("random/micro")
    before = weights(run)
    log = train(run, tmp_path)
    after = weights(run)
    frozen = run.model.get_input_embeddings().weight
    assert torch.equal(frozen, before["model.shared.weight"])
    moved = "model.encoder.layers.0.fc1.weight"
    assert not torch.equal(after[moved], before[moved])
    assert log.total_parameters - log.trainable_parameters == frozen.numel()
    assert log.total_parameters == students.parameters(run)


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_training_learns_logs_and_leaves_no_files(tmp_path, capsys, micro_batches):
    run = students.load("random/micro")
    changes = LEARNING | {"steps": 40, "micro_batches": micro_batches, "validation_pairs": PAIRS[:3]}
    log = train(run, tmp_path, **changes)
    assert log.losses[-1][1] < 0.5 * log.losses[0][1]
    assert log.losses[-1][0] == log.steps == 40 and log.seconds > 0
    [(step, loss)] = log.validation
    assert step == log.kept_step == 40 and 0 < loss < log.losses[0][1]
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_dropout_is_set_for_training_and_off_for_answers(tmp_path):
    run = students.load("random/micro")
    train(run, tmp_path, dropout=0.25)
    assert run.model.config.dropout == run.model.model.encoder.layers[0].dropout == 0.25
    assert not run.model.training
    assert students.score(run, ["a"], ["b"], batch_size=1) == students.score(run, ["a"], ["b"], batch_size=1)


class Killed(Exception):
    pass


def train_until_killed(monkeypatch, folder, kind="random/micro", **changes):
    """A training that is killed at the end of its fifth step."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 5:
            raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training._Recorder, "on_step_end", on_step_end)
        train(students.load(kind), folder, **changes)


RESUMED = {"steps": 8, "checkpoint_steps": 3, "batch_size": 6}  # two steps an epoch


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("changes", [{}, {"micro_batches": 2, "weigh": "pair"}], ids=["whole batches", "in parts"])
def test_a_training_killed_half_way_goes_on_to_the_same_weights_bit_for_bit(tmp_path, monkeypatch, kind, changes):
    whole, resumed = students.load(kind), students.load(kind)
    log = train(whole, tmp_path / "whole", **RESUMED | changes)
    train_until_killed(monkeypatch, tmp_path / "part", kind=kind, **RESUMED | changes)
    assert [folder.name for folder in (tmp_path / "part").glob("*/*")] == ["checkpoint-3"]
    again = train(resumed, tmp_path / "part", **RESUMED | changes)
    assert same(weights(whole), weights(resumed))
    assert (again.resumed_from, log.resumed_from) == (3, 0) and again.losses == log.losses
    assert list(tmp_path.glob("*/*")) == []  # done, so nothing is kept of it


def test_a_checkpoint_half_written_is_passed_over(tmp_path, monkeypatch):
    whole, resumed = students.load("random/micro"), students.load("random/micro")
    train(whole, tmp_path / "whole", **RESUMED)
    train_until_killed(monkeypatch, tmp_path / "part", **RESUMED)
    [folder] = (tmp_path / "part").iterdir()
    (folder / "checkpoint-6").mkdir()
    (folder / "checkpoint-6" / "model.safetensors").write_bytes(b"half")
    assert train(resumed, tmp_path / "part", **RESUMED).resumed_from == 3
    assert same(weights(whole), weights(resumed))


@pytest.mark.parametrize(
    "changes", [{"learning_rate": 2e-3}, {"pairs": PAIRS[:9]}, {"seed": 1}], ids=lambda changes: next(iter(changes))
)
def test_a_training_of_other_settings_or_texts_does_not_go_on_from_a_checkpoint(tmp_path, monkeypatch, changes):
    other, alone = students.load("random/micro"), students.load("random/micro")
    train_until_killed(monkeypatch, tmp_path / "run", **RESUMED)
    train(other, tmp_path / "run", **RESUMED | changes)
    train(alone, tmp_path / "alone", **RESUMED | changes)
    assert same(weights(other), weights(alone))
    assert list((tmp_path / "run").iterdir()) == []


CHOICE = {"choose_by": "validation_loss", "validation_pairs": PAIRS[:3]}
CHOSEN = CHOICE | {"steps": 7, "checkpoint_steps": 3, "dropout": 0.0}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weigh", ["token", "pair"])
def test_the_checkpoint_with_the_least_validation_loss_is_kept(tmp_path, monkeypatch, kind, weigh):
    values = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(losses, "of_pairs", lambda *_: next(values))
    run, stopped = students.load(kind), students.load(kind)
    log = train(run, tmp_path, weigh=weigh, schedule="constant", **CHOSEN)
    assert log.validation == [(3, 3.0), (6, 1.0), (7, 2.0)] and log.kept_step == 6
    train(stopped, tmp_path, weigh=weigh, schedule="constant", dropout=0.0, steps=6)
    assert same(weights(run), weights(stopped))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weigh", ["token", "pair"])
def test_the_validation_loss_is_that_of_the_training_on_the_same_pairs(tmp_path, kind, weigh):
    pairs = [("rain", SENTENCE), ("Copy: rain", "rain"), ("Copy: oak", "oak")]
    once = {"steps": 1, "batch_size": 3, "dropout": 0.0, "learning_rate": 1e-9}
    log = train(students.load(kind), tmp_path, pairs, weigh=weigh, validation_pairs=pairs, **once)
    assert log.validation[0][1] == pytest.approx(log.losses[0][1], abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_choosing_a_checkpoint_changes_no_step_and_survives_a_kill(tmp_path, monkeypatch, kind):
    plain, whole, resumed = (students.load(kind) for _ in range(3))
    changes = {"dropout": 0.1, "learning_rate": 3e-3}
    train(plain, tmp_path, steps=7, **changes)
    log = train(whole, tmp_path / "whole", **CHOSEN | changes)
    assert log.kept_step == 7  # so early in training the loss falls
    assert same(weights(plain), weights(whole))
    train_until_killed(monkeypatch, tmp_path / "part", kind=kind, **CHOSEN | changes)
    again = train(resumed, tmp_path / "part", **CHOSEN | changes)
    assert again.resumed_from == 3 and again.validation == log.validation
    assert same(weights(whole), weights(resumed))


def test_a_validation_loss_that_is_no_number_chooses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(losses, "of_pairs", lambda *_: float("nan"))
    with refused(students.StudentError, "no validation loss was a number; look at the losses"):
        train(students.load("random/micro"), tmp_path, **CHOSEN)


NO_CHOICE = r"choose_by: found validation_loss with checkpoint_steps \d and \d "


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (CHOSEN | {"checkpoint_steps": 0}, NO_CHOICE),
        (CHOSEN | {"validation_pairs": []}, NO_CHOICE),
        ({"micro_batches": 3}, "a batch of 4 cannot be cut into 3 equal parts"),
        ({"pairs": []}, "0 pairs and 4 steps"),
    ],
)
def test_data_and_settings_that_do_not_allow_training_are_refused(student, tmp_path, changes, message):
    with refused(students.StudentError, message):
        train(student, tmp_path, **changes)


def test_a_batch_in_parts_has_the_loss_of_the_whole(tmp_path):
    """All pairs in one batch, all targets of one length: however they are shared out, the mean is the same."""
    settings = {"pairs": PAIRS[:4], "steps": 1, "dropout": 0.0}
    logs = [train(students.load("random/micro"), tmp_path, micro_batches=parts, **settings) for parts in (1, 2)]
    assert logs[1].losses[0][1] == pytest.approx(logs[0].losses[0][1], abs=1e-4)


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("weigh", ["token", "pair"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_on_what_follows_the_prefix_and_counts_tokens_or_pairs_alike(tmp_path, kind, weigh, parts):
    """Where pairs weigh alike, a long target counts no more than a short one; a prefix is read and not learned."""
    run = students.load(kind)
    learned = {
        ("rain", "A raft"): "", ("(A) raft (B) robin (C) oak Answer:", f"robin --> {SENTENCE}"): "A robin is a bird.",
        ("oak", "oak"): "", ("a", "An ant ."): "So it is:",
    }  # fmt: skip
    loops = [by_hand(run, *pair, prefix) for pair, prefix in learned.items()]
    once = {"batch_size": 4, "steps": 1, "dropout": 0.0}
    log = train(run, tmp_path, [*learned], prefixes=[*learned.values()], weigh=weigh, micro_batches=parts, **once)
    means = [-sum(logs) / len(logs) for logs in loops]
    if weigh == "pair":
        assert log.losses[0][1] == pytest.approx(sum(means) / 4, rel=1e-4)
    elif parts == 1:
        assert log.losses[0][1] == pytest.approx(-sum(map(sum, loops)) / sum(map(len, loops)), rel=1e-4)
    else:  # the mean of two parts, whichever pairs they hold
        assert min(means) < log.losses[0][1] < max(means)


def test_training_ends_early_when_it_is_enough(tmp_path, monkeypatch):
    run, modes = students.load("random/micro", seed=0), []
    monkeypatch.setattr(training, "CHECK_STEPS", 2)

    def enough():
        modes.append(run.model.training)
        return len(modes) == 2

    log = train(run, tmp_path, steps=9, enough=enough)
    assert log.steps == 4 and modes == [False, False]


def test_generated_texts_come_in_the_order_of_the_inputs(student):
    inputs = ["raft " * 20, "robin", "oak ant " * 5]
    together = students.generate(student, inputs, max_new_tokens=5, batch_size=2)
    alone = [students.generate(student, [text], max_new_tokens=5, batch_size=1)[0] for text in inputs]
    assert together == alone
    assert students.generate(student, [], max_new_tokens=5, batch_size=2) == []


@pytest.mark.parametrize("weigh", ["token", "pair"])
def test_a_text_that_was_learned_has_an_end_and_without_it_or_the_text_to_stop_at_it_is_truncated(tmp_path, weigh):
    run = students.load("random/micro")
    source, target = "(A) raft (B) robin Answer:", f"robin --> {SENTENCE}".lower()
    train(run, tmp_path, pairs=[(source, target)], weigh=weigh, **LEARNING)

    def written(max_new_tokens, **limits):
        [output] = students.generate(run, [source], max_new_tokens=max_new_tokens, batch_size=1, **limits)
        return output

    assert written(20) == students.Generated(target, truncated=False)
    assert written(20, stop="-->") == students.Generated("robin -->", truncated=False)
    assert written(4).truncated and written(4, stop="oak").truncated


def test_a_decoder_only_student_does_not_stop_at_a_text_in_its_input(tmp_path):
    """Nor is it padded, as what has ended is, beside another one that goes on."""
    run = students.load("random/gpt2-tiny")
    run.separator = ""  # the input's own end is then the last that stands before what is written
    targets = ["robin ant --> oak", "cod rain bird cod"]
    train(run, tmp_path, [("raft -->", targets[0]), ("oak", targets[1])], **LEARNING | {"steps": 120})
    outputs = students.generate(run, ["raft -->", "oak"], max_new_tokens=9, batch_size=2, stop="-->")
    assert outputs == [students.Generated(text, truncated=False) for text in ("robin ant -->", targets[1])]


@pytest.mark.parametrize("ends", [True, False], ids=["with the end", "of a beginning"])
def test_a_score_is_the_log_likelihood_of_what_follows_the_prefix(either, ends):
    inputs = ["(A) raft (B) robin Answer:", "rain", "Copy: oak", "rain"]
    targets, prefixes = ["robin -->", SENTENCE, "oak", "raft"], ["", "", f"{SENTENCE} -->", "A cod"]
    scores = students.score(either, inputs, targets, batch_size=3, prefixes=prefixes, ends=ends)
    loops = [by_hand(either, *sequence) for sequence in zip(inputs, targets, prefixes, strict=True)]
    assert scores == pytest.approx([sum(logs if ends else logs[:-1]) for logs in loops], abs=1e-4)
    without = students.score(either, inputs[:2], targets[:2], batch_size=2, ends=ends)
    assert scores[:2] == pytest.approx(without, abs=1e-4)


def test_with_a_large_vocabulary_leads_are_scored_from_their_last_logits_alone(monkeypatch):
    run, kept = students.load("random/gpt2-tiny"), []
    forward = type(run.model).forward

    def recorded(self, *args, logits_to_keep=0, **inputs):
        kept.append(logits_to_keep)
        return forward(self, *args, logits_to_keep=logits_to_keep, **inputs)

    monkeypatch.setattr(type(run.model), "forward", recorded)
    texts = (["the raft is red"] * 2 + ["raft"] * 2, ["copper", "robin is"] * 2)
    scores = []
    for large in (10**9, 1):
        monkeypatch.setattr(loading, "LARGE_VOCABULARY", large)
        scores.append(students.score(run, *texts, batch_size=4))
    assert scores[0] == pytest.approx(scores[1], abs=1e-4) and {*kept} == {0, 1}


def test_score_refuses_lists_of_different_lengths(student):
    with refused(students.StudentError, "2 inputs, 1 targets"):
        students.score(student, ["a", "b"], ["c"], batch_size=1)


def test_what_a_student_would_write_is_what_it_writes(either):
    inputs = ["(A) raft (B) robin Answer:", "Copy: rain", "Copy: raft"]
    outputs = students.generate(either, inputs, max_new_tokens=12, batch_size=2)
    texts = [output.text for output in outputs]
    assert students.is_greedy(either, inputs, texts, batch_size=2) == [not output.truncated for output in outputs]
    assert not any(students.is_greedy(either, inputs, [f"{text} robin" for text in texts], batch_size=2))
    if either.decoder_only:  # and learned two of them
        assert outputs[:2] == [students.Generated(text, truncated=False) for text in ("robin", "rain")]


def test_writes_after_a_prefix_asks_only_for_what_follows_it(student):
    source, prefix, target = "(A) raft (B) robin Find: a bird", "A raft is a bird. -->", "robin"
    ids = student.tokenizer(f"{prefix} {target}")["input_ids"]
    encoded = student.tokenizer(source, return_tensors="pt")
    decoder = torch.tensor([[student.model.config.decoder_start_token_id, *ids[:-1]]])
    with torch.no_grad():
        best = student.model(**encoded, decoder_input_ids=decoder).logits[0].argmax(-1).tolist()
    expected = best[-2:] == ids[-2:]
    assert students.is_greedy(student, [source], [target], batch_size=1, prefixes=[prefix]) == [expected]


# Decoder-only students


@pytest.mark.parametrize(("name", "decoder_only"), [("random/micro", False), ("random/gpt2-tiny", True)])
def test_which_kind_a_student_is_comes_from_its_config(tmp_path, name, decoder_only):
    students.save(students.load(name), tmp_path / "model")
    assert students.load(str(tmp_path / "model")).decoder_only == decoder_only


def test_the_tokenizer_of_a_decoder_only_student_knows_its_separator_as_one_token(decoder):
    assert decoder.tokenizer.tokenize(f"robin?{SEPARATOR} raft") == ["robin", "?", "###", "raft"]
    assert decoder.separator == SEPARATOR


@pytest.mark.filterwarnings("ignore")
def test_a_student_without_keys_and_values_to_keep_is_scored_by_whole_sequences():
    words = students.load("random/gpt2-tiny").tokenizer
    sizes = {"vocab_size": len(words), "hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
    model = AutoModelForCausalLM.from_config(MambaConfig(**sizes, eos_token_id=words.eos_token_id))
    recurrent = students.Student(model.eval(), words, "mamba")
    inputs, targets, prefixes = ["rain", "rain", "Copy: oak"], ["robin", SENTENCE, "oak"], ["", "A cod", ""]
    scores = students.score(recurrent, inputs, targets, batch_size=3, prefixes=prefixes)
    loops = [sum(by_hand(recurrent, *sequence)) for sequence in zip(inputs, targets, prefixes, strict=True)]
    assert scores == pytest.approx(loops, abs=1e-3)


MIXED = ("Copy: rain", "oak", "Which of these has feathers?", f"{9 * SENTENCE} (A) cod (B) oak Answer:")


@pytest.mark.parametrize("trained", [False, True])
def test_what_a_decoder_only_student_writes_does_not_depend_on_what_else_is_in_its_batch(decoder, trained):
    """It is what a plain loop writes: padding on the left, masked, moves no position and is read by nobody."""
    run = decoder if trained else students.load("random/gpt2-tiny")
    together = students.generate(run, MIXED, max_new_tokens=6, batch_size=4)
    for text, output in zip(MIXED, together, strict=True):
        start = ids = run.tokenizer(f"{text}{SEPARATOR}", add_special_tokens=False)["input_ids"]
        while len(ids) < len(start) + 6 and ids[-1] != run.tokenizer.eos_token_id:
            with torch.no_grad():
                ids = [*ids, run.model(torch.tensor([ids])).logits[0, -1].argmax().item()]
        text = run.tokenizer.decode(ids[len(start) :], skip_special_tokens=True)
        assert output == students.Generated(text, truncated=ids[-1] != run.tokenizer.eos_token_id)
    assert not trained or [output.text for output in together[:1]] == ["rain"]


WINDOWED = ("mistral", "gemma2")
OF_KIND = {  # what a family has of its own
    "mistral": {"sliding_window": 24},
    "gemma2": {"sliding_window": 24},
    "gpt_neo": {"window_size": 24, "attention_types": [[["global", "local"], 1]], "num_layers": 2, "num_heads": 2},
    "mpt": {"d_model": 32, "n_heads": 2, "n_layers": 2, "expansion_ratio": 2},
    "roberta": {"is_decoder": True},
}


FAMILIES = ["gpt2", "llama", "bloom", "opt", "gpt_neox", "qwen2", *OF_KIND]
NOUNS = ["raft", "robin", "oak", "ant", "cod", "rain", "bird"]


def decoder_of(kind, are_spread=False):
    """An untaught decoder-only student of a kind, whose positions are learned, rotated, a bias, or in a window; with
    weights that are spread, so that its texts differ.
    """
    words = students.load("random/gpt2-tiny").tokenizer
    config = AutoConfig.for_model(
        kind, vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=16, n_layer=2, n_head=2, word_embed_proj_dim=32, ffn_dim=64,
        bos_token_id=words.eos_token_id, eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id,
        **OF_KIND.get(kind, {}),
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    for matrix in (weights for weights in model.parameters() if are_spread and weights.dim() > 1):
        torch.nn.init.normal_(matrix, std=0.5)
    return loading.assemble(model, words, kind)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", FAMILIES)
def test_exemplars_that_all_inputs_begin_with_are_read_once_and_change_no_text_or_score(kind):
    run, shots = decoder_of(kind), 6 * f"{SENTENCE} (A) cod (B) oak Answer: oak "
    inputs = [shots + text for text in ("Copy: rain", "oak", f"{3 * SENTENCE} feathers?", "Copy: rain oak")]
    targets = ["robin", "rain", SENTENCE, "oak"]

    def answers(batch_size):
        outputs = students.generate(run, inputs, max_new_tokens=20, batch_size=batch_size)
        return outputs, students.score(run, inputs, targets, batch_size=batch_size)

    shapes = []
    embeddings = run.model.get_input_embeddings()
    embeddings.register_forward_pre_hook(lambda _, arguments: shapes.append(arguments[0].shape))
    texts, scores = answers(4)
    rows = {rows for rows, length in shapes if length > 100}
    alone = answers(1)
    assert texts == alone[0] and scores == pytest.approx(alone[1], abs=1e-4)
    assert rows == ({1, 4} if kind in WINDOWED else {1})  # a cache of a window keeps no opening


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("kind", "shots"),
    [(kind, "") for kind in FAMILIES] + [(kind, 6 * SENTENCE) for kind in FAMILIES[:4]],
)
def test_waiting_inputs_take_the_places_of_ended_texts_and_no_text_changes(monkeypatch, kind, shots):
    monkeypatch.setattr(generation, "SEGMENT", 4)
    run = decoder_of(kind, are_spread=True)
    inputs = [shots + f"{noun} " * (1 + number % 4) + NOUNS[-number] for number, noun in enumerate(NOUNS)]
    limits = {"max_new_tokens": 20}
    whole = [students.generate(run, [text], batch_size=1, **limits)[0].text for text in inputs]

    def ends(word):
        return {len(text.partition(word)[0].split()) // 4 for text in whole}

    limits["stop"] = max({*" ".join(whole).split()}, key=lambda word: (len(ends(word)), word))
    alone = [students.generate(run, [text], batch_size=1, **limits)[0] for text in inputs]
    steps = []
    run.model.get_input_embeddings().register_forward_pre_hook(lambda _, arguments: steps.append(len(arguments[0])))
    assert students.generate(run, inputs, batch_size=3, **limits) == alone
    together = len(steps)
    for batch in encoding.by_length([len(ids) for ids in encoding.to_generate(run, inputs)], 3):
        students.generate(run, [inputs[index] for index in batch], batch_size=3, **limits)
    assert max(steps) == 3
    assert (together < len(steps) - together) == (kind not in WINDOWED)  # a cache of a window takes in no other text


def test_texts_that_join_others_need_no_more_positions_than_alone(monkeypatch):
    """Its positions are as many as the longest input and its text need; columns that nobody uses are dropped."""
    monkeypatch.setattr(generation, "SEGMENT", 4)
    monkeypatch.setitem(OF_KIND, "gpt_neo", OF_KIND["gpt_neo"] | {"max_position_embeddings": 40})
    run = decoder_of("gpt_neo", are_spread=True)
    inputs = [" ".join([noun, *NOUNS, *NOUNS[:number], noun]) for number, noun in enumerate(NOUNS)]
    limits = {"max_new_tokens": 40 - max(len(ids) for ids in encoding.to_generate(run, inputs))}
    whole = [students.generate(run, [text], batch_size=1, **limits)[0].text for text in inputs]
    for stop in sorted({*" ".join(whole).split()})[:8]:
        alone = [students.generate(run, [text], batch_size=1, stop=stop, **limits)[0] for text in inputs]
        assert students.generate(run, inputs, batch_size=3, stop=stop, **limits) == alone


def test_padding_that_is_not_masked_would_change_what_is_written(monkeypatch, decoder):
    """So that the test above can fail: Fine-tune-CoT's released code generates without a mask."""
    masked = students.generate(decoder, MIXED, max_new_tokens=6, batch_size=4)

    def unmasked(*args, **kwargs):
        inputs = encoding.batch(*args, **kwargs)
        return inputs | {"attention_mask": torch.ones_like(inputs["attention_mask"])}

    monkeypatch.setattr(generation, "batch", unmasked)
    outputs = students.generate(decoder, MIXED, max_new_tokens=6, batch_size=4)
    assert outputs[:3] != masked[:3] and outputs[3] == masked[3]  # the longest has no padding


def test_the_input_its_separator_and_the_prefix_are_given_and_the_end_is_not():
    rows, _ = encoding.encode(students.load("random/gpt2-tiny"), ["a raft", "rain"], ["oak", "robin"], ["So", ""])
    assert [len(row.decoder_ids) - row.context_length for row in rows] == [2, 2]  # a word and the end
    assert [row.context_length for row in rows] == [4, 2]  # the input, its separator, the prefix


def test_dropout_reaches_every_layer_of_a_decoder_only_student(tmp_path):
    run = students.load("random/gpt2-tiny")
    train(run, tmp_path, dropout=0.25)
    rates = {module.p for module in run.model.modules() if isinstance(module, torch.nn.Dropout)}
    assert rates == {0.25} and not run.model.training
    assert run.model.loss_type == "ForCausalLM"  # or the library warns that it takes this one


def test_a_tokenizer_without_padding_pads_with_its_end_and_keeps_its_vocabulary(decoder, tmp_path):
    students.save(decoder, tmp_path)
    for file in ("tokenizer_config.json", "config.json"):
        content = json.loads((tmp_path / file).read_text(encoding="utf-8"))
        content = {key: value for key, value in content.items() if not key.startswith("pad_token")}
        (tmp_path / file).write_text(json.dumps(content), encoding="utf-8")
    loaded = students.load(str(tmp_path))
    assert loaded.tokenizer.pad_token_id == loaded.tokenizer.eos_token_id
    assert len(loaded.tokenizer) == len(decoder.tokenizer) == loaded.model.config.vocab_size
    inputs = ["Copy: rain", "(A) raft (B) robin Answer:"]
    limits = {"max_new_tokens": 6, "batch_size": 2}
    assert students.generate(loaded, inputs, **limits) == students.generate(decoder, inputs, **limits)
    train(loaded, tmp_path / "run", **LEARNING)  # the end is still learned
    assert students.generate(loaded, inputs, **limits)[1] == students.Generated("robin", truncated=False)


def test_a_subword_tokenizer_that_marks_no_end_learns_the_end_too(tmp_path):
    """As GPT-2's: bytes, no padding token, nothing put at the end of a text."""
    bytes_only = Tokenizer(
        models.BPE(vocab={c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    bytes_only.add_special_tokens(["<|endoftext|>"])
    FastTokenizer(tokenizer_object=bytes_only, eos_token="<|endoftext|>").save_pretrained(tmp_path / "words")
    run, asked = students.load("random/gpt2-tiny", str(tmp_path / "words")), PAIRS[0][0]
    train(run, tmp_path, PAIRS[:1], **LEARNING | {"steps": 80, "dropout": 0.0})
    learned = students.Generated("robin", truncated=False)
    assert students.generate(run, [asked], max_new_tokens=20, batch_size=1) == [learned]
    [score] = students.score(run, [asked], ["robin"], batch_size=1)
    assert score == pytest.approx(sum(by_hand(run, asked, " robin")), abs=1e-4)


def test_a_cut_input_of_a_decoder_only_student_keeps_its_separator(decoder):
    limits = {"max_input_tokens": 4, "max_target_tokens": 3}
    [row], cut = encoding.encode(decoder, ["raft " * 9], ["robin " * 9], **limits)
    assert decoder.tokenizer.convert_ids_to_tokens(row.decoder_ids) == ["raft"] * 3 + ["###"] + ["robin"] * 2 + ["</s>"]
    assert row.context_length == 4 and (cut.inputs, cut.targets, cut.pairs) == (1, 1, 1)
    assert (cut.longest_input, cut.longest_target) == (10, 10)


# Lengths


def test_more_cuts_than_allowed_end_the_training_before_it_begins_and_cuts_that_are_allowed_are_counted(tmp_path):
    pairs = [("raft " * 9, "robin"), ("raft", "robin " * 8), ("raft " * 3, "oak " * 3)]
    run, limits = students.load("random/micro"), {"max_input_tokens": 4, "max_target_tokens": 4}
    before = weights(run)
    for allowed in (0.0, 0.6):
        with refused(students.StudentError) as caught:
            train(run, tmp_path, pairs, **limits, max_cut_share=allowed)
        assert str(caught.value) == (
            "2 of 3 training pairs would be cut: the longest input has 10 tokens (max_input_tokens 4), the longest target "
            f"9 (max_target_tokens 4); raise the limit, or allow it with max_cut_share 0.667 (now {allowed:g})"
        )
    assert same(before, weights(run))
    log = train(run, tmp_path, pairs, **limits, max_cut_share=0.667)
    assert (log.inputs_cut, log.targets_cut) == (1, 1)


@pytest.mark.parametrize(
    ("kind", "pair", "message"),
    [
        ("random/micro", ("raft " * 200, "oak"), "reads 192 tokens; an input has 201"),
        ("random/micro", ("raft", "oak " * 200), "writes 192 tokens; a target has 201"),
        ("random/gpt2-tiny", ("raft " * 1000, "oak " * 30), "holds 1024 tokens; an input with its target has 1032"),
    ],
)
def test_what_is_longer_than_a_student_has_positions_is_refused_before_training(tmp_path, kind, pair, message):
    run = students.load(kind)
    with refused(students.StudentError, f"{message}: .*; it begins '{pair[0].split()[0]}"):
        train(run, tmp_path, [pair], max_input_tokens=0, max_target_tokens=0)
    if "input" in message:  # cut in training, but asked as a whole
        with refused(students.StudentError, message.split(";")[0]):
            train(run, tmp_path, [pair], max_cut_share=1.0, asked=[2 * pair[0]])
    with refused(students.StudentError, message):
        students.score(run, [pair[0]], [pair[1]], batch_size=1)


@pytest.mark.parametrize(
    ("kind", "text", "max_new_tokens", "message"),
    [
        ("random/micro", "raft " * 300, 5, "reads 192 tokens; an input has 301"),
        ("random/micro", "raft", 193, "writes 192 tokens; a target has 193"),
        ("random/gpt2-tiny", "raft", 1023, "holds 1024 tokens; .* has 1025"),
    ],
)
def test_generation_beyond_the_positions_of_a_student_is_refused(kind, text, max_new_tokens, message):
    with refused(students.StudentError, message):
        students.generate(students.load(kind), [text], max_new_tokens=max_new_tokens, batch_size=1)


# Precision and processes


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_multiplies_in_bf16_and_keeps_weights_in_fp32(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})  # elsewhere it is emulated
    runs = {precision: students.load(kind) for precision in ("fp32", "bf16", "auto")}
    logs = {precision: train(run, tmp_path, precision=precision, dropout=0.0) for precision, run in runs.items()}
    assert {tensor.dtype for tensor in weights(runs["bf16"]).values()} == {torch.float32}
    for precision, run in runs.items():  # options are scored in fp32, by the student in memory as by the one saved
        students.save(run, tmp_path / precision)
        both = run, students.load(str(tmp_path / precision))
        in_memory, saved = (students.score(each, ["a"], [SENTENCE], batch_size=1) for each in both)
        assert in_memory == pytest.approx(saved, abs=1e-4)
    losses = {precision: [loss for _, loss in log.losses] for precision, log in logs.items()}
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
    if not torch.cuda.is_available():
        assert same(weights(runs["auto"]), weights(runs["fp32"]))
        assert [logs[precision].precision for precision in logs] == ["fp32", "bf16", "fp32"]


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_writes_with_a_copy_in_bf16_and_leaves_the_student_in_fp32(monkeypatch, kind):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    run, limits = students.load(kind), {"max_new_tokens": 6, "batch_size": 4}
    before, heads = weights(run), []
    run.model.register_forward_hook(lambda module, *_: heads.append(module.get_output_embeddings().weight))
    in_bf16 = students.generate(run, MIXED, precision="bf16", **limits)
    assert {head.dtype for head in heads} == {torch.bfloat16} and same(weights(run), before)
    assert not any(head.is_inference() for head in heads), "else torch copies the head for each text of a batch"
    run.model.to(torch.bfloat16)
    assert in_bf16 == students.generate(run, MIXED, **limits)


@pytest.mark.parametrize("kind", KINDS)
def test_packed_weights_say_the_same_and_are_gone_afterwards(monkeypatch, kind):
    run, targets = students.load(kind), [f"{text} b" for text in MIXED]
    results, products = [], []
    product = packing._product
    monkeypatch.setattr(packing, "_product", lambda *arguments: products.append(1) or product(*arguments))
    for smallest in (packing.MIN_WEIGHTS, 0):
        monkeypatch.setattr(packing, "MIN_WEIGHTS", smallest)
        assert not products
        texts = students.generate(run, MIXED, max_new_tokens=6, batch_size=4)
        results.append((texts, students.score(run, MIXED, targets, batch_size=4)))
    assert results[0][0] == results[1][0] and results[0][1] == pytest.approx(results[1][1], abs=1e-4)
    assert products and not any("forward" in vars(module) for module in run.model.modules())


def test_packing_that_is_interrupted_or_begun_twice_leaves_every_layer_as_it_was(monkeypatch):
    run, pack = students.load("random/gpt2-tiny"), packing.partial
    monkeypatch.setattr(packing, "MIN_WEIGHTS", 0)
    with packing.packed(run, 1), packing.packed(run, 1):
        assert any("forward" in vars(module) for module in run.model.modules())
    monkeypatch.setattr(packing, "partial", Mock(side_effect=[pack(print), KeyboardInterrupt]))
    with pytest.raises(KeyboardInterrupt), packing.packed(run, 1):
        pass
    assert not any("forward" in vars(module) for module in run.model.modules())


def test_bf16_is_refused_where_a_processor_could_only_emulate_it(student, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": False})
    message = "precision: found bf16, but this processor has no bf16 instructions"
    with refused(students.StudentError, message):
        train(student, tmp_path, precision="bf16")
    with refused(students.StudentError, message):
        students.generate(student, ["a"], max_new_tokens=1, batch_size=1, precision="bf16")


def test_parts_of_a_batch_that_cannot_be_shared_out_evenly_are_refused(student, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with refused(students.StudentError, "micro_batches: found 1, allowed: a multiple of 2, the processes"):
        train(student, tmp_path)


def shared(folder, processes, *arguments):
    """A training in this process, or in several that share its batches; what it leaves in `folder`."""
    if processes == 1:
        shared_training.main(*arguments, str(folder))
    else:
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
        command = [*launch, shared_training.__file__, *arguments, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stderr[-3000:]
    return students.load(str(folder / "model")), json.loads((folder / "log.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("kind", "weigh"), [*zip(KINDS, ("token", "pair"), strict=True)])
def test_two_processes_learn_what_one_learns_from_the_same_batches(tmp_path, kind, weigh):
    single, alone = shared(tmp_path / "1", 1, kind, weigh, "0")
    joint, together = shared(tmp_path / "2", 2, kind, weigh, "0")
    assert (alone["processes"], together["processes"]) == (1, 2)
    assert [loss for _, loss in together["losses"]] == pytest.approx([loss for _, loss in alone["losses"]], abs=1e-5)
    assert [step for step, _ in together["validation"]] == [step for step, _ in alone["validation"]] == [4, 6]
    before, first, second = (run.model.state_dict() for run in (students.load(kind), single, joint))
    for name in before:
        assert torch.allclose(first[name], second[name], atol=1e-5), name  # sums in another order round differently
    assert max((first[name] - start).abs().max() for name, start in before.items()) > 1e-3  # what is equal was learned


# What the embedded student knows


@pytest.fixture
def few_probes(monkeypatch):
    """Every sixtieth probe, so that it takes seconds."""
    probes = microsci.probes(microsci.load_world())[::60]
    monkeypatch.setattr(pretraining, "probes", lambda world: probes)
    return probes


def test_knowledge_has_a_row_for_each_domain_and_one_for_all(few_probes):
    rows = probing.knowledge(students.load("random/micro-small"))
    assert [row["domain"] for row in rows] == [*dict.fromkeys(probe.domain for probe in few_probes), "all"]
    assert all(tuple(row) == ("domain", "n", "right", "share") for row in rows)
    assert all(0 <= row["right"] <= row["n"] and row["share"] == row["right"] / row["n"] for row in rows)
    assert rows[-1]["n"] == len(few_probes) == sum(row["n"] for row in rows[:-1])


def test_knowledge_counts_the_facts_completed_word_for_word(monkeypatch, student, few_probes):
    def is_greedy(student, inputs, targets, **_):
        assert dict(zip(inputs, targets, strict=True)) == {probe.input: probe.target for probe in few_probes}
        return [index < len(inputs) // 2 for index in range(len(inputs))]

    monkeypatch.setattr(probing, "is_greedy", is_greedy)
    rows = probing.knowledge(student)
    assert rows[-1]["right"] == len(few_probes) // 2 == sum(row["right"] for row in rows[:-1])


def test_skills_has_a_row_for_each_task_of_pretraining():
    rows = probing.skills(students.load("random/micro-small"), count=2, stream=0)
    assert [row["task"] for row in rows] == list(microsci.TASKS)
    assert all(tuple(row) == ("task", "n", "right", "share") for row in rows)
    assert all(row["n"] == 2 and 0 <= row["share"] == row["right"] / 2 <= 1 for row in rows)


def test_skills_are_asked_on_lessons_that_depend_on_the_seed(monkeypatch, student):
    lessons = []

    def is_greedy(student, inputs, targets, *, prefixes, **_):
        lessons.append((inputs, targets, prefixes))
        return [False] * len(inputs)

    monkeypatch.setattr(probing, "is_greedy", is_greedy)
    for seed in (0, 0, 1):
        rows = probing.skills(student, count=3, stream=seed, tasks=["find_back", "copy"])
        assert [row["task"] for row in rows] == ["find_back", "copy"]
    assert lessons[:2] == lessons[2:4] != lessons[4:]
    assert all(lessons[0][2]) and not any(lessons[1][2])  # what stands written already is passed on


def test_a_student_masters_tasks_when_it_is_good_enough_in_each(monkeypatch, student):
    shares = {"copy": 0.9, "read": 0.6}
    monkeypatch.setattr(probing, "skills", lambda student, *, tasks, **_: [{"share": shares[t]} for t in tasks])
    assert probing.has_mastered(student, ["copy", "read"], 0.6, stream=0)
    assert not probing.has_mastered(student, ["copy", "read"], 0.7, stream=0)


# Checkpoints that others made


@pytest.mark.parametrize("name", ["random/gpt2-tiny", "random/bart-tiny"])
def test_what_a_checkpoint_says_of_generation_changes_no_text(tmp_path, name):
    student = students.load(name, seed=1)
    students.save(student, tmp_path / "plain")
    own = {"repetition_penalty": 9.0, "min_new_tokens": 7, "suppress_tokens": [7, 8, 9], "no_repeat_ngram_size": 1}
    for key, value in own.items():
        setattr(student.model.generation_config, key, value)
    students.save(student, tmp_path / "odd")
    config = json.loads((tmp_path / "odd" / "generation_config.json").read_text(encoding="utf-8"))
    assert own.items() <= config.items()
    loaded = [students.load(str(tmp_path / folder)) for folder in ("plain", "odd")]
    plain, odd = (students.generate(run, ["a b c", "d"], max_new_tokens=9, batch_size=2) for run in loaded)
    assert plain == odd


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_a_saved_student_may_be_read_by_whom_the_umask_says(tmp_path, mask):
    before = os.umask(mask)
    try:
        students.save(students.load("random/gpt2-tiny"), tmp_path / "model")
    finally:
        os.umask(before)
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o777 & ~mask
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "model").iterdir()} == {0o666 & ~mask}


# What a tokenizer cannot write, and where it joins two texts


def joining(separator):
    """A decoder-only student whose tokenizer knows `separator` with the space behind it as one token."""
    letters = [*string.ascii_lowercase, " ", "#", "?"]
    vocabulary = {token: index for index, token in enumerate(["</s>", *letters, f"{separator} "])}
    joined = Tokenizer(models.BPE(vocabulary, merges=[(separator, " ")]))
    joined.decoder = decoders.Fuse()
    words = FastTokenizer(tokenizer_object=joined, eos_token="</s>", pad_token="</s>")
    config = GPT2Config(vocab_size=len(vocabulary), n_embd=16, n_layer=1, n_head=2, bos_token_id=0, eos_token_id=0)
    return students.Student(AutoModelForCausalLM.from_config(config).eval(), words, "joining", separator)


@pytest.mark.parametrize("prefix", ["", "so"])
def test_what_is_learned_begins_with_the_very_tokens_that_stand_there_when_it_is_written(prefix):
    student = joining("#")
    context = encoding.to_generate(student, ["why?"])[0]
    # read as a single text, these tokens would differ
    assert student.tokenizer("why?# yes")["input_ids"][: len(context)] != context
    [row], _ = encoding.encode(student, ["why?"], ["yes"], [prefix] if prefix else ())
    assert row.decoder_ids[: len(context)] == context
    assert student.tokenizer.decode(row.decoder_ids) == f"why?# {f'{prefix} ' if prefix else ''}yes</s>"
    assert student.tokenizer.decode(row.decoder_ids[row.context_length :]) == " yes</s>"


def test_a_round_trip_loses_what_a_tokenizer_lacks():
    words = joining("#")
    assert students.round_trip(words, ["yes", "no{2}"])[0] == "yes"


@pytest.mark.parametrize("kind", ["random/micro", "random/t5-tiny", "random/gpt2-tiny"])
def test_a_text_that_ended_with_a_stop_writes_no_more_whatever_else_is_in_its_batch(tmp_path, kind):
    """Padding after a stop is not what was written; where padding is no end of text it is easily taken for it."""
    run = students.load(kind)
    long = " ".join(["robin cod oak raft"] * 10)
    taught = [("raft robin?", "raft --> cod oak raft"), ("oak cod?", f"{long} --> oak"), ("cod?", "cod --> robin oak")]
    train(run, tmp_path, pairs=4 * taught, **LEARNING | {"steps": 80, "dropout": 0.0})
    inputs = [source for source, _ in taught]
    limits = {"max_new_tokens": 50, "stop": "-->"}
    alone = [students.generate(run, [text], batch_size=1, **limits)[0] for text in inputs]
    assert students.generate(run, inputs, batch_size=3, **limits) == alone
    assert sum(output.text.endswith("-->") for output in alone) >= 2


def test_a_text_ends_at_any_of_the_ends_that_a_checkpoint_names():
    run = students.load("random/t5-tiny")
    plain = students.generate(run, ["raft"], max_new_tokens=40, batch_size=1)[0]
    inputs = encoding.batch(run, encoding.to_generate(run, ["raft"]))
    first = run.model.generate(**inputs, max_new_tokens=1)[0, 1].item()
    run.model.generation_config.eos_token_id = [run.tokenizer.eos_token_id, first]
    several = students.generate(run, ["raft"], max_new_tokens=40, batch_size=1)[0]
    assert not several.truncated and len(several.text) < len(plain.text)


@pytest.mark.parametrize("kind", ["random/gpt2-tiny", "random/t5-tiny"])
@pytest.mark.parametrize(("weigh", "micro_batches"), [("token", 1), ("pair", 2)])
def test_losses_at_labels_are_those_of_the_model(monkeypatch, tmp_path, kind, weigh, micro_batches):
    logs = []
    settings = {"weigh": weigh, "micro_batches": micro_batches, "freeze_embeddings": False, "dropout": 0.0}
    for large in (10**9, 1):
        monkeypatch.setattr(loading, "LARGE_VOCABULARY", large)
        log = train(students.load(kind), tmp_path / str(large), **settings)
        logs.append([loss for _, loss in log.losses])
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)


def test_where_a_models_own_loss_is_another_one_it_stays(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "LARGE_VOCABULARY", 1)
    settings = {"dropout": 0.0, "freeze_embeddings": False}
    run, again = students.load("random/gpt2-tiny"), students.load("random/gpt2-tiny")
    forward = type(run.model).forward

    def scaled(self, *args, **kwargs):
        output = forward(self, *args, **kwargs)
        return output if output.loss is None else type(output)(loss=2 * output.loss, logits=output.logits)

    monkeypatch.setattr(type(run.model), "forward", scaled)
    doubled = train(run, tmp_path / "a", **settings).losses[0][1]
    monkeypatch.setattr(type(run.model), "forward", forward)
    assert doubled == pytest.approx(2 * train(again, tmp_path / "b", **settings).losses[0][1], rel=1e-3)
