"""MicroSci: its facts, the questions made from them and the pretraining pairs."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter

import pytest

from scicot_utils import microsci, paths

SIZES = {"train": 1000, "validation": 300, "test": 500}


@pytest.fixture(scope="module")
def world():
    return microsci.load_world()


@pytest.fixture(scope="module")
def rows(world):
    return microsci.questions(world, SIZES, seed=0)


def options(row):
    return row["choices"]["text"]


def test_world_holds_the_facts_of_the_files(world):
    assert len(world.entities) == 8 * len(world.kinds)
    assert len(world.properties) == 50
    assert {entry.holder for entry in world.properties.values()} >= set(world.kinds)


def test_every_kind_gives_each_split_its_share(world):
    counts = Counter((entity.kind, entity.split) for entity in world.entities.values())
    assert all(counts[kind, split] == size for kind in world.kinds for split, size in microsci.SPLITS.items())


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("entities.csv", "robin,a,bird", "robin,a,brid", "entities.csv: 'robin' is of kind 'brid'"),
        ("entities.csv", "robin,a,bird\n", "", "entities.csv: kind 'bird' has 7 entities; 8 needed"),
        ("entities.csv", "robin,a,bird", "owl,a,bird", "entities.csv: 'owl' is empty, given twice"),
        ("entities.csv", "robin,a,bird", "robin,a", "'robin' is empty, given twice or in a row"),
        ("kinds.csv", "kind,article", "sort,article", "kinds.csv: columns"),
        ("properties.csv", "mammal;fish", "mammal;fsh", "names 'fsh'"),
        ("properties.csv", "mammal;fish", "vertebrate", "'vertebrate' is holder and contrast"),
    ],
)
def test_a_fault_in_a_file_is_named_in_one_line(tmp_path, file, old, new, message):
    for source in paths.MICROSCI.glob("*.csv"):
        shutil.copy(source, tmp_path / source.name)
    text = (tmp_path / file).read_text(encoding="utf-8")
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        microsci.load_world(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("raft", "A raft is a watercraft, a vehicle."),
        ("ant", "An ant is an insect, an invertebrate."),
        ("copper", "Copper is a metal, a material."),
        ("rain", "Rain is precipitation, a weather phenomenon."),
        ("Sahara", "The Sahara is a desert, a landform."),
        ("Io", "Io is a moon, a celestial body."),
    ],
)
def test_entity_sentences_are_english(world, name, sentence):
    assert microsci.entity_sentence(world, name) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("has feathers", "Every bird has feathers."),
        ("falls from the sky to the ground", "All precipitation falls from the sky to the ground."),
        ("comes from the flesh of an animal", "All meat comes from the flesh of an animal."),
        ("moves through outer space", "Every celestial body moves through outer space."),
    ],
)
def test_rule_sentences_are_english(world, text, sentence):
    assert microsci.rule_sentence(world, text) == sentence


def test_sizes_and_ids_are_as_asked(rows):
    assert Counter(row["split"] for row in rows) == SIZES
    assert len({row["id"] for row in rows}) == len(rows)
    assert rows[12]["id"] == "microsci-train-00012"


def test_exactly_the_gold_option_is_right_by_the_fact_tables(world, rows):
    for row in rows:
        gold = row["choices"]["label"].index(row["answer"])
        assert microsci.solve(world, row["question"], options(row)) == [gold]


def test_distractors_come_from_the_contrast(world, rows):
    for row in rows:
        entry = microsci.property_of(world, row["question"])
        for index, name in enumerate(options(row)):
            if row["choices"]["label"][index] != row["answer"]:
                assert any(microsci.belongs(world, name, group) for group in entry.contrast)


def test_no_entity_is_an_option_in_two_splits(world, rows):
    for row in rows:
        assert {world.entities[name].split for name in options(row)} == {row["split"]}


def test_no_property_with_the_same_options_comes_twice(world, rows):
    keys = [(microsci.property_of(world, row["question"]).text, frozenset(options(row))) for row in rows]
    assert len(set(keys)) == len(keys)
    assert all(len(set(options(row))) == 4 for row in rows)


@pytest.mark.parametrize("split", SIZES)
def test_gold_positions_are_balanced(rows, split):
    counts = Counter(row["answer"] for row in rows if row["split"] == split)
    assert max(counts.values()) - min(counts.values()) <= 1 and set(counts) == set("ABCD")


@pytest.mark.parametrize("split", SIZES)
def test_two_thirds_of_the_questions_take_two_hops(world, rows, split):
    groups = Counter(row["group"] for row in rows if row["split"] == split)
    assert groups["two_hops"] == round(SIZES[split] * 2 / 3)
    for row in rows:
        by_kind = microsci.property_of(world, row["question"]).holder in world.kinds
        assert row["group"] == ("two_hops" if by_kind else "three_hops")


def test_the_options_alone_show_no_odd_one_out(world, rows):
    for row in rows:
        kinds = [world.entities[name].kind for name in options(row)]
        classes = Counter(world.kinds[kind].class_name for kind in kinds)
        assert len(set(kinds)) == 4
        assert set(classes.values()) == ({2} if row["group"] == "two_hops" else {1})


def test_no_option_is_a_word_of_its_question(rows):
    for row in rows:
        words = set(microsci.WORD.findall(row["question"].lower()))
        assert not words & {name.lower() for name in options(row)}


def test_proof_states_each_option_then_the_rule(world):
    proof = microsci.proof(world, "Which one has feathers?", ["raft", "robin", "copper", "ant"])
    assert proof[0] == "A raft is a watercraft, a vehicle." and proof[4] == "Every bird has feathers."
    assert len(proof) == 5


def test_solve_accepts_every_wording_and_any_number_of_right_options(world):
    for wording in microsci.WORDINGS:
        assert microsci.solve(world, wording.format("has feathers"), ["robin", "raft", "owl"]) == [0, 2]
        assert microsci.solve(world, wording.format("has a backbone"), ["raft"]) == []


def test_solve_rejects_a_question_of_another_world(world):
    with pytest.raises(ValueError, match="asks for no property"):
        microsci.solve(world, "Which of these is best?", ["raft"])


def test_seeds_give_different_questions(world, rows):
    other = microsci.questions(world, SIZES, seed=1)
    assert [options(row) for row in rows] != [options(row) for row in other]


def test_an_impossible_size_is_refused(world):
    with pytest.raises(ValueError, match=r"of a group asked for in 'test'; \d+ are possible"):
        microsci.questions(world, {"test": 100_000}, seed=0)
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        microsci.questions(world, {"dev": 10}, seed=0)


def test_questions_and_pairs_do_not_depend_on_the_hash_seed():
    code = (
        "import hashlib; from scicot_utils import microsci as m; w = m.load_world();"
        "mix = m.PRETRAINING_MIXES['merged'];"
        "made = [m.questions(w, {'train': 60, 'test': 60}, 3), m.pretraining_pairs(w, 200, 3, mix)];"
        "made += [m.vocabulary(w), [e.split for e in w.entities.values()]];"
        "print(hashlib.sha256(repr(made).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=paths.ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        ).stdout
        for hash_seed in ("0", "1")
    }  # fmt: skip
    assert len(digests) == 1


def test_vocabulary_covers_questions_and_pretraining(world, rows):
    words = set(microsci.vocabulary(world))
    texts = [f"{microsci.options_line(options(row))} {row['question']}" for row in rows]
    texts += ["Answer: Solution: -->", "so yes, so no."]
    for task in microsci.PRETRAINING_TASKS:
        texts += [text for pair in microsci.pretraining_pairs(world, 50, 0, {task: 1}) for text in pair]
    for text in texts:
        assert set(microsci.WORD.findall(text.replace(microsci.MASK, "").lower())) <= words


def test_no_pretraining_pair_puts_entities_to_a_property(world):
    names = {name.lower() for name in world.entities}
    texts = [text.lower() for text in world.properties]
    for source, target in microsci.pretraining_pairs(world, 2000, 0, microsci.PRETRAINING_MIXES["merged"]):
        if source.startswith("Copy:") or not any(text in source.lower() for text in texts):
            continue
        rest = f"{source} {target}".lower()
        for text in texts:
            rest = rest.replace(text, "")  # a property may hold the name of an entity: "very little rain"
        assert not set(microsci.WORD.findall(rest)) & names


def test_check_has_any_number_of_right_groups(world):
    pairs = microsci.pretraining_pairs(world, 300, 0, {"check": 1})
    assert {target.count(", so yes.") for _, target in pairs} >= {0, 1, 2, 3}


def test_member_has_one_right_option(world):
    for source, target in microsci.pretraining_pairs(world, 200, 0, {"member": 1}):
        asked = source.rsplit(": ", 1)[1]
        named = [entity for name, entity in world.entities.items() if f") {name} " in source]
        right = [e.name for e in named if microsci.groups_phrase(world, e.kind).startswith(f"{asked},")]
        assert right == [target]


def test_an_unknown_task_is_refused(world):
    with pytest.raises(ValueError, match="unknown task 'chat'"):
        microsci.pretraining_pairs(world, 1, 0, {"chat": 1})
