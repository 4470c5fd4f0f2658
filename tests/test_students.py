"""Students: tokenizer, loading, fine-tuning, generation, scoring, saving; random weights and few steps."""

import pytest
import torch

from scicot_utils import microsci, students
from scicot_utils.microsci import facts

PAIRS = 4 * [
    ("(A) raft (B) robin Answer:", "robin"),
    ("(A) cod (B) oak Answer:", "oak"),
    ("Copy: rain", "rain"),
]
SENTENCE = "A raft is a watercraft, a vehicle."


@pytest.fixture(scope="module")
def student():
    return students.load("random/micro", seed=0)


def train(student, folder, pairs=PAIRS, **changes):
    settings = {
        "steps": 4, "batch_size": 4, "learning_rate": 1e-3, "schedule": "cosine", "warmup_ratio": 0.1,
        "weight_decay": 0.05, "max_grad_norm": 1.0, "dropout": 0.1, "freeze_embeddings": True,
        "max_input_tokens": 64, "max_target_tokens": 64, "seed": 0, "adam_beta2": 0.98, "threads": 1,
        "show_progress": False,
    }  # fmt: skip
    return students.fine_tune(student, pairs, output_dir=folder, **(settings | changes))


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
    world = microsci.load_world()
    relations = {name: ("kind", *world.attributes[name]) for name in world.entities}
    texts = [facts.fact(world, name, relation) for name, found in relations.items() for relation in found]
    texts += [facts.class_fact(world, kind) for kind in world.kinds]
    texts += [facts.rule(world, text) for text in world.properties]
    texts += [facts.consequence_rule(world, text) for text in world.consequences]
    texts += [facts.value_rule(world, *key) for key in world.values]
    unknown = student.tokenizer.unk_token_id
    assert not any(unknown in ids for ids in student.tokenizer(texts)["input_ids"])


def test_a_seed_gives_the_same_random_student_and_leaves_the_generator_alone(student):
    state = torch.get_rng_state()
    assert same(weights(student), weights(students.load("random/micro", seed=0)))
    assert not same(weights(student), weights(students.load("random/micro", seed=1)))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("random/giant", students.StudentError, "allowed are random/micro, random/micro-small, .*random/t5-tiny"),
        ("random/t5-tiny", students.StudentError, "no tokenizer of its own"),
        ("nobody/nothing", students.StudentError, r"student 'nobody/nothing' cannot be read .*HF_HUB_OFFLINE=1"),
    ],
)
def test_what_cannot_be_loaded_is_named_in_one_line(monkeypatch, name, error, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(error, match=message) as caught:
        students.load(name)
    assert "\n" not in str(caught.value)


def test_the_embedded_student_comes_in_three_sizes():
    small, middle, large = (
        students.parameters(students.load(f"random/{name}")) for name in ("micro-small", "micro", "micro-large")
    )
    assert 0 < 2 * small < middle < large / 2


def test_an_incomplete_folder_is_named(tmp_path):
    with pytest.raises(students.StudentError, match="a folder"):
        students.load(str(tmp_path))


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


def test_training_learns_logs_and_leaves_no_files(tmp_path, capsys):
    run = students.load("random/micro")
    more = {"steps": 40, "learning_rate": 3e-3, "freeze_embeddings": False, "validation_pairs": PAIRS[:3]}
    log = train(run, tmp_path, **more)
    assert log.losses[-1][1] < 0.5 * log.losses[0][1]
    assert log.losses[-1][0] == log.steps == 40 and log.seconds > 0
    assert 0 < log.validation_loss < log.losses[0][1]
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_dropout_is_set_for_training_and_off_for_answers(tmp_path):
    run = students.load("random/micro")
    train(run, tmp_path, dropout=0.25)
    assert run.model.config.dropout == run.model.model.encoder.layers[0].dropout == 0.25
    assert not run.model.training
    assert students.score(run, ["a"], ["b"], batch_size=1) == students.score(run, ["a"], ["b"], batch_size=1)


def test_an_interrupted_training_resumes_from_its_checkpoint(tmp_path, monkeypatch):
    whole, part, resumed = (students.load("random/micro") for _ in range(3))
    train(whole, tmp_path / "whole")

    def interrupt(self, args, state, control, **_):
        if state.global_step == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(students._Recorder, "on_step_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(part, tmp_path / "part", save_steps=2)
    assert [folder.name for folder in (tmp_path / "part").iterdir()] == ["checkpoint-2"]
    train(resumed, tmp_path / "part", save_steps=2)
    assert same(weights(whole), weights(resumed))


def test_cuts_are_counted(tmp_path):
    pairs = [("raft " * 9, "robin"), ("raft", "robin " * 9), ("raft " * 3, "robin " * 3)]
    run = students.load("random/micro")
    log = train(run, tmp_path, pairs=pairs, max_input_tokens=4, max_target_tokens=4)
    assert (log.inputs_cut, log.targets_cut) == (1, 1)


def test_a_batch_that_cannot_be_cut_evenly_is_refused(student, tmp_path):
    with pytest.raises(students.StudentError, match="a batch of 4 cannot be cut into 3 equal parts"):
        train(student, tmp_path, micro_batches=3)


def test_training_in_parts_of_a_batch_learns(tmp_path):
    run = students.load("random/micro")
    log = train(run, tmp_path, steps=30, learning_rate=3e-3, freeze_embeddings=False, micro_batches=2)
    assert log.losses[-1][1] < 0.5 * log.losses[0][1]
    assert log.losses[-1][0] == log.steps == 30


def test_a_batch_in_parts_has_the_loss_of_the_whole(tmp_path):
    """All pairs in one batch, all targets of one length: however they are shared out, the mean is the same."""
    given = {"pairs": PAIRS[:4], "steps": 1, "dropout": 0.0}
    logs = [train(students.load("random/micro"), tmp_path, micro_batches=parts, **given) for parts in (1, 2)]
    assert logs[1].losses[0][1] == pytest.approx(logs[0].losses[0][1], abs=1e-4)


@pytest.mark.parametrize("parts", [1, 2])
def test_where_pairs_weigh_alike_a_long_target_counts_no_more_than_a_short_one(tmp_path, parts):
    run = students.load("random/micro", seed=0)
    pairs = [("rain", SENTENCE), ("Copy: rain", "rain"), ("Copy: oak", "oak"), ("oak", f"{SENTENCE} A cod is a fish.")]
    sums = students.score(run, *zip(*pairs, strict=True), batch_size=4)
    means = [total / len(run.tokenizer(target)["input_ids"]) for total, (_, target) in zip(sums, pairs, strict=True)]
    log = train(run, tmp_path, pairs, weigh="pair", micro_batches=parts, batch_size=4, steps=1, dropout=0.0)
    assert log.losses[0][1] == pytest.approx(-sum(means) / 4, rel=1e-4)


def test_a_student_learns_where_pairs_weigh_alike(tmp_path):
    run = students.load("random/micro")
    train(run, tmp_path, pairs=PAIRS[:1], weigh="pair", steps=60, learning_rate=3e-3, freeze_embeddings=False)
    assert students.generate(run, [PAIRS[0][0]], max_new_tokens=5, batch_size=1)[0].text == "robin"


def test_a_prefix_of_a_target_is_read_and_not_learned(tmp_path):
    run = students.load("random/micro", seed=0)
    pairs = [("Find: a bird", "raft"), ("Find: rain", "oak")]
    prefixes = [f"{SENTENCE} A cod is a bird. -->", ""]
    before = students.score(run, *zip(*pairs, strict=True), batch_size=2, prefixes=prefixes)
    log = train(run, tmp_path, pairs, prefixes=prefixes, batch_size=2, steps=1, dropout=0.0)
    assert log.losses[0][1] == pytest.approx(-sum(before) / 4, rel=1e-4)  # two targets of a word and the end


def test_training_ends_early_when_it_is_enough(tmp_path):
    run = students.load("random/micro", seed=0)
    training = []

    def enough():
        training.append(run.model.training)
        return len(training) == 2

    log = train(run, tmp_path, steps=9, enough=enough, check_steps=2)
    assert log.steps == 4 and training == [False, False]


def test_nothing_to_train_on_is_refused(student, tmp_path):
    with pytest.raises(students.StudentError, match="0 pairs and 4 steps"):
        train(student, tmp_path, pairs=[])


def test_generated_texts_come_in_the_order_of_the_inputs(student):
    inputs = ["raft " * 20, "robin", "oak ant " * 5]
    together = students.generate(student, inputs, max_new_tokens=5, batch_size=2)
    alone = [students.generate(student, [text], max_new_tokens=5, batch_size=1)[0] for text in inputs]
    assert together == alone
    assert students.generate(student, [], max_new_tokens=5, batch_size=2) == []


def test_a_text_without_an_end_is_truncated_and_one_with_an_end_is_not(tmp_path):
    run = students.load("random/micro")
    train(run, tmp_path, pairs=PAIRS[:1], steps=60, learning_rate=3e-3, freeze_embeddings=False)
    assert students.generate(run, [PAIRS[0][0]], max_new_tokens=5, batch_size=1) == [
        students.Generated("robin", truncated=False)
    ]
    assert students.generate(run, [PAIRS[0][0]], max_new_tokens=1, batch_size=1)[0].truncated


def test_writing_ends_at_the_text_to_stop_at(tmp_path):
    run = students.load("random/micro")
    pairs = [("(A) raft (B) robin Answer:", f"robin --> {SENTENCE}")]
    train(run, tmp_path, pairs=pairs, steps=60, learning_rate=3e-3, freeze_embeddings=False)
    given = {"max_new_tokens": 20, "batch_size": 1}
    assert students.generate(run, [pairs[0][0]], **given)[0].text == pairs[0][1].lower()
    assert students.generate(run, [pairs[0][0]], stop="-->", **given) == [students.Generated("robin -->", False)]
    assert students.generate(run, [pairs[0][0]], stop="oak", max_new_tokens=4, batch_size=1)[0].truncated


def test_an_input_beyond_the_positions_is_refused(student):
    with pytest.raises(students.StudentError, match=r"reads 192 tokens; an input has 301"):
        students.generate(student, ["raft " * 300], max_new_tokens=5, batch_size=1)


def manual(student, source, target):
    """Log-probabilities of the target's tokens, one by one, by feeding the decoder by hand."""
    ids = student.tokenizer(target)["input_ids"]
    encoded = student.tokenizer(source, return_tensors="pt")
    logs = []
    for place, token in enumerate(ids):
        decoder = torch.tensor([[student.model.config.decoder_start_token_id, *ids[:place]]])
        with torch.no_grad():
            logits = student.model(**encoded, decoder_input_ids=decoder).logits
        logs.append(logits[0, -1].log_softmax(-1)[token].item())
    return logs


def test_score_is_the_log_likelihood_with_the_end(student):
    inputs, targets = ["(A) raft (B) robin Answer:", "rain"], ["robin", SENTENCE]
    found = students.score(student, inputs, targets, batch_size=2)
    expected = [sum(manual(student, source, target)) for source, target in zip(inputs, targets, strict=True)]
    assert found == pytest.approx(expected, abs=1e-4)


def test_score_after_a_prefix_sums_only_what_follows_it(student):
    source, prefix, target = "(A) raft (B) robin Solution:", f"{SENTENCE} -->", "robin"
    logs = manual(student, source, f"{prefix} {target}")
    found = students.score(student, [source] * 2, [target] * 2, batch_size=2, prefixes=[prefix, ""])
    assert found[0] == pytest.approx(sum(logs[-2:]), abs=1e-4)  # the option and the end
    assert found[1] == pytest.approx(sum(manual(student, source, target)), abs=1e-4)


def test_score_of_a_beginning_leaves_the_end_out(student):
    source, targets, prefixes = "(A) raft (B) robin Answer:", ["robin -->", "oak -->", "raft"], ["", "", "rain"]
    found = students.score(student, [source] * 3, targets, batch_size=3, prefixes=prefixes, ends=False)
    plain = [manual(student, source, target) for target in targets[:2]]
    assert found[:2] == pytest.approx([sum(logs[:-1]) for logs in plain], abs=1e-4)
    assert found[2] == pytest.approx(manual(student, source, "rain raft")[1], abs=1e-4)


def test_score_refuses_lists_of_different_lengths(student):
    with pytest.raises(students.StudentError, match="2 inputs, 1 targets"):
        students.score(student, ["a", "b"], ["c"], batch_size=1)


def test_writes_is_what_generate_would_write(student):
    inputs = ["(A) raft (B) robin Answer:", "rain", "Copy: raft"]
    written = [found.text for found in students.generate(student, inputs, max_new_tokens=12, batch_size=2)]
    whole = [
        index
        for index, found in enumerate(students.generate(student, inputs, max_new_tokens=12, batch_size=2))
        if not found.truncated
    ]
    right = students.writes(student, inputs, written, batch_size=2)
    assert [index for index, same in enumerate(right) if same] == whole
    assert not any(students.writes(student, inputs, [f"{text} robin" for text in written], batch_size=2))


def test_writes_after_a_prefix_asks_only_for_what_follows_it(student):
    source, prefix, target = "(A) raft (B) robin Find: a bird", "A raft is a bird. -->", "robin"
    ids = student.tokenizer(f"{prefix} {target}")["input_ids"]
    encoded = student.tokenizer(source, return_tensors="pt")
    decoder = torch.tensor([[student.model.config.decoder_start_token_id, *ids[:-1]]])
    with torch.no_grad():
        best = student.model(**encoded, decoder_input_ids=decoder).logits[0].argmax(-1).tolist()
    expected = best[-2:] == ids[-2:]
    assert students.writes(student, [source], [target], batch_size=1, prefixes=[prefix]) == [expected]


# What the embedded student knows


@pytest.fixture
def few_probes(monkeypatch):
    """Every sixtieth probe, so that it takes seconds."""
    found = microsci.probes(microsci.load_world())[::60]
    monkeypatch.setattr(microsci, "probes", lambda world: found)
    return found


def test_knowledge_has_a_row_for_each_domain_and_one_for_all(few_probes):
    rows = students.knowledge(students.load("random/micro-small"))
    assert [row["domain"] for row in rows] == [*dict.fromkeys(probe.domain for probe in few_probes), "all"]
    assert all(tuple(row) == ("domain", "n", "right", "share") for row in rows)
    assert all(0 <= row["right"] <= row["n"] and row["share"] == row["right"] / row["n"] for row in rows)
    assert rows[-1]["n"] == len(few_probes) == sum(row["n"] for row in rows[:-1])


def test_knowledge_counts_the_facts_completed_word_for_word(monkeypatch, student, few_probes):
    def writes(student, inputs, targets, **_):
        assert dict(zip(inputs, targets, strict=True)) == {one.reads: one.writes for one in few_probes}
        return [index < len(inputs) // 2 for index in range(len(inputs))]

    monkeypatch.setattr(students, "writes", writes)
    rows = students.knowledge(student)
    assert rows[-1]["right"] == len(few_probes) // 2 == sum(row["right"] for row in rows[:-1])


def test_skills_has_a_row_for_each_task_of_pretraining():
    rows = students.skills(students.load("random/micro-small"), count=2, seed=0)
    assert [row["task"] for row in rows] == list(microsci.TASKS)
    assert all(tuple(row) == ("task", "n", "right", "share") for row in rows)
    assert all(row["n"] == 2 and 0 <= row["share"] == row["right"] / 2 <= 1 for row in rows)


def test_skills_are_asked_on_lessons_that_depend_on_the_seed(monkeypatch, student):
    asked = []

    def writes(student, inputs, targets, *, prefixes, **_):
        asked.append((inputs, targets, prefixes))
        return [False] * len(inputs)

    monkeypatch.setattr(students, "writes", writes)
    for seed in (0, 0, 1):
        assert [row["task"] for row in students.skills(student, count=3, seed=seed, tasks=["find_back", "copy"])] == [
            "find_back",
            "copy",
        ]
    assert asked[:2] == asked[2:4] != asked[4:]
    assert all(asked[0][2]) and not any(asked[1][2])  # what stands written already is passed on


def test_a_student_masters_tasks_when_it_is_good_enough_in_each(monkeypatch, student):
    shares = {"copy": 0.9, "read": 0.6}
    monkeypatch.setattr(students, "skills", lambda student, *, tasks, **_: [{"share": shares[t]} for t in tasks])
    assert students.masters(student, ["copy", "read"], 0.6, seed=0)
    assert not students.masters(student, ["copy", "read"], 0.7, seed=0)
