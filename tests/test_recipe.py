"""Recipes: what is accepted, what is refused and in which words, which value outranks which, what is run."""

import json
import re

import conftest
import pytest
import yaml
from conftest import refused
from hypothesis import example, given
from hypothesis import strategies as st
from papermill.iorw import NoDatesSafeLoader
from papermill.translators import PythonTranslator

from scicot_utils import paths, recipe, students
from scicot_utils.recipe import MAIN, RecipeError

MINIMAL = conftest.MINIMAL.replace("[answer_only]", "[untrained, answer_only, two_stage]").replace("[0]", "[0, 1]")
SHIPPED = sorted(path.stem for path in paths.RECIPES.glob("*.yaml"))
NOTEBOOKS = sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))
WHICH = {"recipe", "dataset", "datasets", "arm", "variant", "seed"}

WRITE_TWO = [name for name, arm in recipe.REGISTRY.items() if arm.writes_two]


@pytest.fixture
def load(write_recipe):
    """The minimal recipe with more lines, or with other words in the place of some."""

    def write_and_load(more="", **changed):
        text = MINIMAL
        for key, value in changed.items():
            text = re.sub(rf"(?m)^{key}: .*$", f"{key}: {value}", text)
        return recipe.load(write_recipe(f"{text}{more}\n"))

    return write_and_load


@pytest.fixture
def planned(load):
    return load("""
training: {learning_rate: 0.001, dropout: 0.1}
arm_settings: {two_stage: {learning_rate: 0.002, dropout: 0.2, stage2_source: crossfit}}
variants:
  noisy: {teacher_error_rate: 0.3}
  all_kept: {filter: all}
  fast: {learning_rate: 0.5}
  both: {samples: 4, dropout: 0.0}
""")


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_is_valid_by_its_name_and_by_its_path(name):
    assert recipe.load(name).name == name
    assert recipe.load(str(paths.RECIPES / f"{name}.yaml")) == recipe.load(name)


# Every refusal is one line that names the file, the key, what was found and what is allowed.
REFUSED = {
    "an unknown key gets a suggestion": ("training: {stepz: 1}", "training.stepz", "did you mean steps?"),
    "an unknown section": ("trainning: {}", "trainning", "did you mean training?"),
    "a leaf key outside its section": ("steps: 3", "unknown key 'steps'"),
    "an unknown key of a benchmark of one's own": ("own: {mine: {path: a.csv, answr: b}}", "own.mine.answr", "did you mean answer?"),
    "a student of an unknown architecture": ("training: {student: random/foo}", "training", "found 'random/foo', allowed: random/micro"),
    "a wrong type": ("training: {steps: many}", "training.steps", "found 'many'", "allowed: a valid integer"),
    "a fraction of a step": ("training: {steps: 1.5}", "training.steps", "found 1.5"),
    "a switch for a number": ("training: {steps: yes}", "training.steps", "found True"),
    "a number for a switch": ("training: {freeze_embeddings: 1}", "freeze_embeddings", "found 1"),
    "a number for a text": ("training: {student: 7}", "training.student", "found 7"),
    "an impossible value": ("training: {dropout: 1.0}", "training.dropout", "found 1.0", "less than 1"),
    "not a number": ("training: {learning_rate: .nan}", "training.learning_rate", "found nan"),
    "a negative size": ("questions: {train_questions: -1}", "train_questions", "found -1", "greater than"),
    "an unknown choice": ("rationales: {filter: best}", "filter", "found 'best'", "'correct_or_cut' or 'all'"),
    "an unknown split": ("teacher: {teacher_splits: 'train,dev'}", "teacher_splits", "found 'train,dev'"),
    "an unknown prompt": ("teacher: {prompts_compared: chat}", "prompts_compared", "found 'chat'"),
    "a power that YAML reads as text": ("training: {learning_rate: 3e-4}", "found '3e-4'", "as in 3.0e-4"),
    "the same in a variant": ("variants: {fast: {learning_rate: 3e-4}}", "'fast'", "as in 3.0e-4"),
    "an empty section": ("training:", "training", "found None"),
    "a key that is no text": ("1: 2", "1", "found 1"),
    "a switch as key": ("yes: 2", "True"),
    "a seed twice": ("seeds: [3, 3]", "seeds", "twice"),
    "a negative seed": ("seeds: [-1]", "seeds", "found -1", "from 0"),
    "a seed too great": ("seeds: [4294967296]", "seeds", "found 4294967296", "to 2**32 - 1"),
    "no seed": ("seeds: []", "seeds"),
    "an arm that is not there": ("arms: [magic]", "arms.0", "found 'magic'", "two_stage"),
    "a dataset not read": ("distill: [ARC-Easy]", "distill", "found 'ARC-Easy'", "microsci"),
    "tested on a benchmark that is not read": ("tested_on: [ARC-Easy]", "tested_on", "found 'ARC-Easy'", "microsci"),
    "a teacher asked about a split that is not there": ("teacher: {teacher_splits: 'train,test_ARC-Easy'}", "teacher_splits", "found 'test_ARC-Easy'", "test_domain"),
    "an arm for a variant that is not run": ("variants: {fast: {steps: 2}}\nvariant_arms: {fast: [rationale_answer]}", "variant_arms.fast", "answer_only"),
    "arms for no variant": ("variant_arms: {fast: [answer_only]}", "variant_arms", "found 'fast'"),
    "settings of no arm": ("arm_settings: {three_stage: {steps: 2}}", "found 'three_stage'", "two_stage"),
    "a teacher of one arm's own": ("arm_settings: {two_stage: {temperature: 0.7}}", "temperature", "all arms share"),
    "an unknown key of an arm": ("arm_settings: {two_stage: {stepz: 2}}", "two_stage", "did you mean steps?"),
    "questions of one variant's own": ("variants: {small: {test_questions: 9}}", "small.test_questions", "share"),
    "evidence of one variant's own": ("variants: {lax: {confidence: 0.6}}", "lax.confidence", "share"),
    "a list in a variant": ("variants: {a: {train_size: [1, 2]}}", "variants.a.train_size", "found [1, 2]"),
    "a variant named by a number": ("variants: {250: {train_size: 250}}", "variants.250", "found 250"),
    "a variant named main": ("variants: {main: {steps: 2}}", "found 'main'"),
    "a recipe named out of its folder": ("name: ../elsewhere", "unknown key 'name'"),
    "arms of different size": ("arm_settings: {two_stage: {train_size: 9}}", "train_size", "the same for all arms"),
    "an arm of an unknown name for a variant": ("variants: {fast: {steps: 2}}\nvariant_arms: {fast: [magic]}", "variant_arms.fast", "found 'magic'", "two_stage"),
    "arms of a variant as one text": ("variant_arms: {fast: two_stage}", "variant_arms.fast", "found 'two_stage'"),
    "rationales of nobody for stage 2": ("training: {stage2_source: student}", "training.stage2_source", "found 'student'", "'crossfit' or 'both'"),
    "a single fold": ("training: {crossfit_folds: 1}", "training.crossfit_folds", "found 1", "greater than or equal to 2"),
    "too many folds": ("training: {crossfit_folds: 21}", "training.crossfit_folds", "found 21", "less than"),
    "a batch in unequal parts": ("training: {batch_size: 33}", "training: micro_batches: found 2", "a divisor of batch_size 33"),
    "the same in a variant's batch": ("variants: {thirds: {micro_batches: 3}}", "'thirds'", "micro_batches: found 3"),
    "a size there is none of": ("pretraining: {architecture: micro-huge}", "pretraining.architecture", "'micro-huge'", "'micro' or 'micro-large'"),
    "a size of one variant's own": ("variants: {big: {architecture: micro-large}}", "big.architecture", "share"),
    "a size of one arm's own": ("arm_settings: {two_stage: {architecture: micro-large}}", "architecture", "all arms share"),
    "right answers of unseen questions shown": ("teacher: {prompt: gold_shown}", "teacher: teacher_splits", "'train,validation,test'", "allowed: train", "gold_shown"),
    "the same shown in a variant": ("variants: {hinted: {prompt: gold_shown}}", "'hinted'", "teacher_splits", "allowed: train", "gold_shown"),
    "a served teacher without a model": ("teacher: {teacher: openai}", "teacher_model", "the name of a model"),
    "a local teacher without a model": ("teacher: {teacher: local}", "teacher_model", "the name of a model"),
    "an address without http": ("teacher: {teacher_base_url: 'localhost:8000'}", "teacher_base_url"),
    "a password in an address": ("teacher: {teacher_base_url: 'http://me:pass@host/v1'}", "teacher_base_url"),
    "a key in an address": ("teacher: {teacher_base_url: 'http://host/v1?key=k'}", "teacher_base_url"),
    "a cap on money at an unknown price": ("teacher: {teacher: openai, teacher_model: m, max_usd: 1.0, teacher_prices: n=1/2}", "max_usd: found 1.0", "teacher_prices", "unknown price"),
    "a parameter that is not left out": ("teacher: {teacher_omit: top_p}", "teacher_omit", "found 'top_p', allowed:"),
    "a price list of another form": ("teacher: {teacher_prices: 'm: 1, 2'}", "teacher_prices"),
    "too many requests under way": ("teacher: {teacher_in_flight: 5000}", "teacher_in_flight", "found 5000"),
    "broken YAML": ("variants: [", "not YAML"),
    "a budget in neither steps nor epochs": ("training: {steps: 0}", "epochs: found 0 with steps 0, allowed: exactly one of the two above 0"),
    "a budget in both": ("training: {steps: 3, epochs: 1}", "epochs: found 1 with steps 3, allowed: exactly one of the two above 0"),
    "a checkpoint chosen of none": ("training: {choose_by: validation_loss}", "checkpoint_steps: found 0, allowed: from 1, since choose_by"),
    "more variant seeds than seeds": ("variant_seeds: 3", "variant_seeds: found 3, allowed: at most 2"),
    "a larger pool than is asked for": (
        "questions: {train_questions: 40}\ntraining: {train_pool: 41}",
        "train_pool of answer_only, main: found 41, allowed: at most 40, the train_questions",
    ),
    "a larger training set than is asked for": (
        "questions: {train_questions: 40}\ntraining: {train_size: 41}",
        "train_size of answer_only, main: found 41, allowed: at most 40, the rationales",
    ),
    "a larger training set than its pool": (
        "questions: {train_questions: 40}\ntraining: {train_pool: 10, train_size: 11}", "allowed: at most 10, the rationales",
    ),
    **{f"a variant named {name}, as a change made by hand or a path": (yaml.safe_dump({"variants": {name: {"steps": 2}}}, allow_unicode=True), "allowed: letters, digits")
       for name in ("a=b", "a+b", "a,b", "a b", "../b", "-b", "ü")},
    **{f"a template that does not tell what to write for {arm}, which writes two things, in {where.partition(':')[0]}": (
           f"arms: [untrained, {arm}, two_stage]\n{where}", f"template: found 'finetune_cot' with arm {arm}, allowed: one that tells")
       for arm in WRITE_TWO
       for where in ("training: {template: finetune_cot}", "variants: {published: {template: finetune_cot}}")},
}  # fmt: skip


@pytest.mark.parametrize(("line", "details"), [(row[0], row[1:]) for row in REFUSED.values()], ids=REFUSED)
def test_a_refusal_is_one_line_that_names_file_key_found_and_allowed(write_recipe, line, details):
    key = line.partition(":")[0]
    lines = [text for text in MINIMAL.splitlines() if not text.startswith(f"{key}:")]
    with refused(RecipeError, "mine.yaml") as caught:
        recipe.load(write_recipe("\n".join([*lines, line, ""])))
    for words in details:
        assert words in str(caught.value)


@pytest.mark.parametrize("key", ["description", "datasets", "distill", "arms", "seeds"])
def test_what_has_no_default_is_asked_for(write_recipe, key):
    text = "\n".join(line for line in MINIMAL.splitlines() if not line.startswith(key))
    with refused(RecipeError, f"{key}: missing"):
        recipe.load(write_recipe(text))


@pytest.mark.parametrize("name", ["nowhere", "no/where.yaml", "", "/"])
def test_a_missing_file_is_named_with_the_recipes_there_are(name):
    with refused(RecipeError, r"no recipe at .*allowed: one of .*micro"):
        recipe.load(name)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("# only a comment\n", "allowed: a mapping"),
        ("# x\n- 1\n- 2\n", "allowed: a mapping"),
        ("# x\nmicro\n", "allowed: a mapping"),
        (MINIMAL.partition("\n")[2], "line 1 must be a comment"),
        (b"# \xff\n" + MINIMAL.encode(), "not UTF-8"),
        ("# 1 core, 1 minute\ndescription: one\ndescription: two\n", "'description' is given twice"),
    ],
)
def test_a_file_that_holds_no_recipe_is_refused(write_recipe, content, reason):
    with refused(RecipeError, reason):
        recipe.load(write_recipe(content))


@pytest.mark.parametrize(
    ("model", "price"),
    [("m", (0.15, 0.6)), ("llama3.2:3b", (0.0, 0.0)), ("Qwen/Qwen2.5-7B", (10.0, 20.5)), ("other", None)],
)
def test_a_price_is_that_of_the_model_or_unknown(model, price):
    prices = "m=0.15/0.6, llama3.2:3b=0/0,Qwen/Qwen2.5-7B=10/20.5"
    settings = recipe.checked({"teacher": "openai", "teacher_model": model, "teacher_prices": prices}, "x")
    assert settings.price() == price


@pytest.mark.parametrize("value", ["sk-0123456789abcdef", "my key", "lower_case"])
def test_what_stands_in_the_place_of_a_keys_name_is_never_repeated(load, value):
    with refused(RecipeError, r"teacher\.teacher_api_key_env: found something else") as in_a_recipe:
        load(f"teacher: {{teacher_api_key_env: '{value}'}}")
    with refused(RecipeError, "teacher_api_key_env: found something else") as by_hand:
        recipe.checked({"teacher_api_key_env": value}, "mine.yaml")
    assert value not in str(in_a_recipe.value) + str(by_hand.value)


@pytest.mark.parametrize(
    "more",
    [
        "teacher: {temperature: 0}",  # a whole number for a fraction
        *(f"teacher: {{teacher_splits: '{splits}'}}" for splits in ("train", "train,test_forms,test_domain")),
        "tested_on: [microsci]\nteacher: {teacher_splits: 'train,test_microsci'}",
        "training: {choose_by: validation_loss, checkpoint_steps: 9}",
        "teacher: {prompt: gold_shown, teacher_splits: train}",  # right answers, where no other questions are asked
        "variants: {hinted: {prompt: gold_shown, teacher_splits: train}}",
        "teacher: {teacher_splits: train}\nvariants: {hinted: {prompt: gold_shown}}",
        "questions: {train_questions: 40}\nteacher: {samples: 2}\ntraining: {train_size: 80}",  # two rationales of each
    ],
)
def test_what_a_recipe_may_say(load, more):
    planned = load(more)
    for section, values in yaml.safe_load(more).items():
        read = getattr(planned, section)
        assert read == values if section in ("variants", "tested_on") else vars(read).items() >= values.items()
    assert type(planned.teacher.temperature) is float


def test_a_recipe_cannot_be_changed_after_it_was_read(planned):
    with pytest.raises(ValueError, match="frozen"):
        planned.name = "other"


# Which value holds


@pytest.mark.parametrize(
    ("arm", "variant", "learning_rate", "dropout"),
    [("answer_only", MAIN, 0.001, 0.1), ("two_stage", MAIN, 0.002, 0.2), ("two_stage", "fast", 0.5, 0.2)],
)
def test_a_variant_outranks_an_arm_which_outranks_the_recipe(planned, arm, variant, learning_rate, dropout):
    settings = planned.settings(arm, variant)
    assert (settings.learning_rate, settings.dropout) == (learning_rate, dropout)
    assert settings.stage2_source == ("crossfit" if arm == "two_stage" else "teacher")


def test_an_unknown_variant_is_refused_with_those_there_are(planned):
    with refused(RecipeError, "no variant 'slow'; allowed: main, noisy, all_kept, fast, both"):
        planned.settings("", "slow")


@pytest.mark.parametrize(
    ("variant", "at"),
    [
        (MAIN, [MAIN, MAIN, MAIN, MAIN, MAIN]),
        ("noisy", [MAIN, "noisy", "noisy", "noisy", "noisy"]),
        ("all_kept", [MAIN, MAIN, "all_kept", "all_kept", "all_kept"]),
        ("fast", [MAIN, MAIN, MAIN, "fast", "fast"]),
        ("both", [MAIN, "both", "both", "both", "both"]),
        ("learning_rate=0.1", [MAIN, MAIN, MAIN, "learning_rate=0.1", "learning_rate=0.1"]),
        ("filter=all,steps=3", [MAIN, MAIN, "filter=all", "filter=all,steps=3", "filter=all,steps=3"]),
        ("question_seed=4", ["question_seed=4"] * 5),
        ("crossfit_folds=5,stage2_source=both", [*[MAIN] * 4, "crossfit_folds=5,stage2_source=both"]),
        ("stage2_order=question_first", [MAIN, MAIN, MAIN, MAIN, "stage2_order=question_first"]),
        ("answer_format=label,steps=3", [MAIN, MAIN, MAIN, "steps=3", "answer_format=label,steps=3"]),
        ("fast+learning_rate=0.1", [MAIN, MAIN, MAIN, "fast+learning_rate=0.1", "fast+learning_rate=0.1"]),
        ("noisy+filter=all", [MAIN, "noisy", *["noisy+filter=all"] * 3]),
        ("fast+filter=all", [MAIN, MAIN, "filter=all", "fast+filter=all", "fast+filter=all"]),
    ],
)
def test_a_variant_shares_whatever_comes_before_the_first_that_it_changes(planned, variant, at):
    stages = ("questions", "teacher", "rationales", "stage1", "training")
    assert [planned.variant_at(stage, variant) for stage in stages] == at


def test_stage_one_is_shared_by_variants_that_change_only_keys_it_does_not_know():
    keys = recipe.notebook_defaults("04_stage1_rationales").keys()
    training = set(recipe.Training.model_fields)
    assert training - keys == set(recipe.AFTER_STAGE1)
    assert set(recipe.notebook_defaults("05_stage2_answers")) >= set(recipe.AFTER_STAGE1)


def test_changes_made_by_hand_name_a_variant_whatever_their_order():
    changes = {"steps": 3, "filter": "all"}
    assert recipe.ad_hoc(MAIN, changes) == "filter=all,steps=3"
    assert recipe.ad_hoc("noisy", dict(reversed(changes.items()))) == "noisy+filter=all,steps=3"
    assert recipe.ad_hoc("noisy", {}) == "noisy"
    assert "/" not in recipe.ad_hoc(MAIN, {"teacher_path": "../../etc/passwd"})  # nor any other folder


# What is run


def test_runs_are_every_arm_and_variant_with_every_seed_and_the_untrained_once(planned):
    trained = [
        ("microsci", arm, variant, seed)
        for variant in (MAIN, "noisy", "all_kept", "fast", "both")
        for arm in ("answer_only", "two_stage")
        for seed in (0, 1)
    ]
    assert planned.runs() == [("microsci", "untrained", MAIN, 0), *trained]


def test_an_arm_is_compared_where_what_it_lacks_does_not_concern_it(write_recipe):
    text = MINIMAL.replace("answer_only, two_stage", "answer_only, rationale_answer, two_stage") + (
        "variants: {order: {stage2_order: question_first}, noisy: {teacher_error_rate: 0.3}, few: {train_size: 5},"
        " twice: {steps: 400}, small: {student: micro-small/seed0}}\n"
        "variant_arms: {order: [two_stage], noisy: [rationale_answer], few: [two_stage], twice: [answer_only], small: [two_stage]}\n"
    )
    without_sizes = recipe.load(write_recipe(text))
    assert not without_sizes.comparable("answer_only", "noisy")  # all kept: it would learn from others
    text += "training: {train_size: 9, steps: 200}\n"
    text = text.replace("small: {student", "paper: {answer_reading: paper}, thrice: {steps: 600}, small: {student")
    text = text.replace("small: [two_stage]", "paper: [two_stage], thrice: [answer_only], small: [two_stage]")
    planned = recipe.load(write_recipe(text))
    arms = ("answer_only", "rationale_answer", "two_stage")
    assert {name: [arm for arm in arms if planned.comparable(arm, name)] for name in (MAIN, *planned.variants)} == {
        MAIN: [*arms], "order": [*arms], "noisy": ["answer_only", "rationale_answer"], "few": ["two_stage"],
        "twice": [*arms], "small": [*arms], "paper": ["two_stage"], "thrice": ["answer_only"],
    }  # fmt: skip


def test_variants_that_differ_in_one_key_are_a_sweep_of_it(load):
    varied = load(
        "variants: {fast: {steps: 2}, faster: {steps: 1}, small: {train_size: 5}, both: {steps: 2, train_size: 5},"
        " gold: {prompt: gold_shown, teacher_splits: train}, apart: {dropout: 0.0, weight_decay: 0.0}}"
    )
    assert varied.sweeps() == {
        "steps": [[MAIN, "fast", "faster"], ["small", "both"]],
        "train_size": [[MAIN, "small"], ["fast", "both"]],
        "prompt": [[MAIN, "gold"]],
    }
    assert load().sweeps() == {}
    same = load("variants: {d_1: {samples: 1}, d_4: {samples: 4, steps: 200}, elsewhere: {teacher_in_flight: 2}}")
    assert same.sweeps() == {"samples": [[MAIN, "d_4"]]}  # values count, not words


def test_variants_are_run_with_the_first_seeds_if_fewer_are_asked_for(load):
    fast = "variants: {fast: {steps: 2}}"
    assert {seed for *_, variant, seed in load(fast, seeds="[4, 2]").runs() if variant == "fast"} == {4, 2}
    few = load(f"{fast}\nvariant_seeds: 1", seeds="[4, 2]")
    assert few.seeds_of("fast") == [4] and few.seeds_of(MAIN) == [4, 2]
    assert {(variant, seed) for *_, variant, seed in few.runs()} == {(MAIN, 4), (MAIN, 2), ("fast", 4)}


def test_a_variant_is_run_for_the_arms_named_or_all_trained_ones_on_datasets_to_distill(load):
    variants = "variants: {fast: {steps: 2}, slow: {steps: 9}}\nvariant_arms: {fast: [untrained, two_stage]}"
    planned = load(variants, datasets="[ARC-Easy, microsci]")
    assert planned.trained_arms(MAIN) == planned.trained_arms("slow") == ["answer_only", "two_stage"]
    assert planned.trained_arms("fast") == ["two_stage"]  # untrained ones have nothing that a variant could change
    runs = [run[:2] for run in planned.runs() if "fast" in run]
    assert runs == [("microsci", "two_stage")] * 2 and {dataset for dataset, *_ in planned.runs()} == {"microsci"}


# Recipes and notebooks say the same


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebooks_parameters_are_recipe_keys_with_the_default_recipes_values(notebook):
    standard, defaults = recipe.load(recipe.DEFAULT), recipe.notebook_defaults(notebook)
    assert defaults.keys() <= recipe.SECTION_OF.keys() | WHICH
    values = standard.flat() | {
        "recipe": standard.name,
        "dataset": standard.distill[0],
        "datasets": ",".join(standard.datasets),
        "variant": MAIN,
        "seed": standard.seeds[0],
    }
    for key, value in defaults.items():
        if key == "arm":
            assert value in recipe.ARMS
        elif (notebook, key) == ("A1_micro_student", "seed"):  # its default makes the student that is shipped
            assert value == json.loads((paths.MICRO_STUDENT / "provenance.json").read_text(encoding="utf-8"))["seed"]
        else:
            assert (key, value, type(value)) == (key, values[key], type(values[key]))


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_engine_passes_a_notebook_its_parameters_and_no_others(notebook):
    planned = recipe.load(recipe.DEFAULT)
    which = {"dataset": "microsci", "arm": "answer_only", "variant": MAIN, "seed": 2}
    passed = recipe.parameters(planned, notebook, **which)
    assert passed.keys() == recipe.notebook_defaults(notebook).keys()
    settings = planned.settings("answer_only").model_dump()
    assert all(passed[key] == (which | settings)[key] for key in passed.keys() & (which | settings).keys())


def test_every_key_belongs_to_one_section_and_the_architectures_are_those_that_there_are():
    keys = [key for section in recipe.SECTIONS.values() for key in section.model_fields]
    assert len(keys) == len(set(keys)) == len(recipe.Settings.model_fields)
    assert set(recipe.REACHED_BY) <= recipe.Teacher.model_fields.keys()
    assert (*students.ARCHITECTURES,) == recipe.ARCHITECTURES


def test_assigned_reads_literals_and_leaves_the_rest():
    assert recipe.assigned("a = 1  # why\nb = -0.5\nc = a\nd = print(1)\ne = 'x'") == {"a": 1, "b": -0.5, "e": "x"}


def test_a_recipes_file_has_a_name_that_can_be_a_folder_and_not_that_of_a_shipped_one(write_recipe):
    with refused(RecipeError, r"my recipe\.yaml: name: found 'my recipe'"):
        recipe.load(write_recipe(MINIMAL, "my recipe.yaml"))
    with refused(RecipeError, "rename it"):  # both would share a folder
        recipe.load(write_recipe((paths.RECIPES / "micro.yaml").read_bytes(), "micro.yaml"))


# The way of a value from a recipe into a notebook

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
ODD = st.sampled_from(
    ["yes", "no", "null", "1e5", "5e-05", "0x10", "2020-01-01", "", " a ", "a: b", 'it\'s "so"', "\U0001f600", "a\nb", "{x}", "~"]
)  # fmt: skip
VALUES = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS, ODD)


@given(st.dictionaries(st.sampled_from(sorted(recipe.SECTION_OF)), VALUES, min_size=1))
@example({"learning_rate": 5e-05})
@example({"learning_rate": 1e-6, "dropout": 3e-4})
def test_every_value_of_every_key_reaches_the_notebook_as_it_is(values):
    """By the parsers that are on the way: papermill's of `-y`, its writer of the injected cell, and Python."""
    parsed = yaml.load(recipe.as_yaml(values), Loader=NoDatesSafeLoader)
    namespace: dict[str, object] = {}
    exec(PythonTranslator.codify(parsed), namespace)
    assert {key: (value, type(value)) for key, value in values.items()} == {
        key: (namespace[key], type(namespace[key])) for key in values
    }


def test_columns_of_a_table_without_a_header_may_be_numbers(load):
    own = load('own: {mine: {path: mine.csv, question: 1, options: "2, 3", answer: 4}}').own["mine"]
    assert (own.question, own.options, own.answer) == ("1", "2, 3", "4")
    with refused(RecipeError, "own.mine.id: found 1.5, allowed: a valid string"):
        load("own: {mine: {path: mine.csv, id: 1.5}}")


# The reference of keys


def test_the_reference_has_every_key_with_its_meaning():
    rows = {section: recipe.reference(section) for section in (recipe.WHOLE, *recipe.SECTIONS, "own")}
    keys = {row["key"] for section in recipe.SECTIONS for row in rows[section]}
    assert keys == recipe.SECTION_OF.keys()
    assert {row["key"] for row in rows["own"]} == recipe.Own.model_fields.keys()
    assert {row["key"] for row in rows[recipe.WHOLE]} | {"name", *recipe.SECTIONS} == recipe.Recipe.model_fields.keys()
    assert all(row["meaning"][-1] == "." and row["allowed"] for part in rows.values() for row in part)


@pytest.mark.parametrize(
    ("section", "key", "allowed", "default"),
    [
        ("training", "dropout", "number from 0 below 1", "0.1"),
        ("training", "freeze_embeddings", "true, false", "true"),
        ("training", "learning_rate", "number above 0 below 1", "0.002"),
        ("teacher", "teacher", "simulated, openai, local, recorded", "simulated"),
        ("teacher", "teacher_omit", "empty, temperature, seed, temperature,seed", "empty"),
        ("questions", "test_questions", "whole number from 0", "500"),
        ("own", "question", "text or list, each: text", "question"),
        ("own", "path", "text", "required"),
        (recipe.WHOLE, "seeds", "list, each: whole number", "required"),
        (recipe.WHOLE, "variants", "mapping", "empty"),
    ],
)
def test_the_reference_says_what_is_allowed_and_the_default(section, key, allowed, default):
    [row] = [row for row in recipe.reference(section) if row["key"] == key]
    assert (row["allowed"], row["default"]) == (allowed, default)
