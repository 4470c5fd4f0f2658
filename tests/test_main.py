"""The front end: what a recipe names that is not there, or cannot be had, is told before anything runs."""

import errno
import shutil
import sys

import pytest
from conftest import MINIMAL, refused

from scicot_utils import ScicotError, __main__, paths, recipe

NO_PROOFS = (
    "'few_shot_cot' needs exemplars with rationales, and none are known for ARC-Challenge; allowed: it with microsci"
)


@pytest.fixture
def on(write_recipe):
    """Writes a recipe on a dataset and gives its path."""
    return lambda dataset, more="": write_recipe(MINIMAL.replace("microsci", dataset) + more)


def refusal(reference):
    with refused(ScicotError) as error:
        __main__.preflight(recipe.load(reference))
    return str(error.value)


FEW_SHOT = {
    "as the recipe's prompt": "teacher: {prompt: few_shot_cot}\n",
    "as a variant's prompt": "variants: {shown: {prompt: few_shot_cot}}\n",
    "as a prompt compared": "teacher: {prompts_compared: 'zero_shot_cot,few_shot_cot'}\n",
}


@pytest.mark.parametrize("more", FEW_SHOT.values(), ids=FEW_SHOT)
def test_a_few_shot_prompt_is_refused_for_a_benchmark_without_proofs_and_taken_for_one_with(on, more):
    assert NO_PROOFS in refusal(on("ARC-Challenge", more))
    __main__.preflight(recipe.load(on("microsci", more)))


@pytest.mark.parametrize("key", ["prompt", "prompts_compared"])
def test_a_prompt_that_walks_options_is_refused_where_answers_are_open(on, key):
    more = f"teacher: {{{key}: options_walked}}\n"
    reason = (
        "prompt 'options_walked': CoinFlip has open answers, so there are no options to walk; allowed: zero_shot_cot"
    )
    assert reason in refusal(on("CoinFlip", more))
    __main__.preflight(recipe.load(on("ShuffledObjects", more)))


def test_a_benchmark_that_is_only_read_needs_no_proofs(on):
    read_too = on("microsci", FEW_SHOT["as the recipe's prompt"])
    planned = recipe.load(read_too)
    __main__.preflight(planned.model_copy(update={"datasets": ["microsci", "ARC-Challenge"]}))


def test_a_recorded_teacher_is_compared_with_no_prompt_so_it_needs_no_proofs(on, tmp_path):
    file = tmp_path / "rationales.jsonl"
    file.write_text('{"id": "a", "rationale": "b"}\n', encoding="utf-8")
    recorded = f"{{teacher: recorded, teacher_path: '{file}', prompt: recorded, prompts_compared: few_shot_cot}}"
    __main__.preflight(recipe.load(on("ARC-Challenge", f"teacher: {recorded}\n")))


@pytest.mark.parametrize(
    ("dataset", "more", "reason"),
    [
        ("ARC-Hard", "", "datasets: found 'ARC-Hard', allowed: microsci"),
        ("ARC-Easy", "questions: {dataset_path: no/where}\n", "no folder at dataset_path 'no/where'"),
        ("microsci", "teacher: {prompt: recorded}\n", "allowed: prompt 'recorded' with teacher 'recorded'"),
        ("microsci", "training: {student: '${NOWHERE}/model'}\n", "student: no folder at '${NOWHERE}/model'"),
        ("microsci", "training: {student: /no/such/model}\n", "student: no folder at '/no/such/model'"),
        (
            "microsci",
            "variants: {a: {student: $NOWHERE/model}}\n",
            "student: no folder at '$NOWHERE/model'; set it, or",
        ),
    ],
)
def test_what_is_not_there_is_named_and_what_is_made_first_need_not_be_there(monkeypatch, on, dataset, more, reason):
    monkeypatch.delenv("NOWHERE", raising=False)
    assert reason in refusal(on(dataset, more))
    __main__.preflight(recipe.load(on("microsci", "variants: {a: {student: micro-small/seed0}}\n")))


@pytest.mark.parametrize("command", ["check", "run"])
def test_what_is_refused_stops_the_command_with_one_line(monkeypatch, capsys, on, command):
    monkeypatch.setattr(__main__, "snakemake", lambda *_: pytest.fail("it ran"))
    monkeypatch.setattr(sys, "argv", ["scicot_utils", command, on("ARC-Challenge", FEW_SHOT["as the recipe's prompt"])])
    with pytest.raises(SystemExit) as stop:
        __main__.main()
    assert str(stop.value).startswith("error: ") and NO_PROOFS in str(stop.value) and "\n" not in str(stop.value)
    assert capsys.readouterr().out == ""


def test_a_shipped_record_that_is_not_there_is_told_before_anything_runs(monkeypatch, tmp_path):
    shutil.copytree(paths.REFERENCE, tmp_path / "reference", ignore=shutil.ignore_patterns("micro_student"))
    monkeypatch.setattr(paths, "REFERENCE", tmp_path / "reference")
    folder = paths.record("micro_tuning")
    (folder / "metrics.csv").unlink()
    advice = "missing from the shipped record; restore it from the repository: git checkout --"
    assert refusal("smoke") == f"{folder}/metrics.csv: {advice} {folder}"


@pytest.fixture
def started(monkeypatch, tmp_path):
    """`run` up to the point where it becomes Snakemake: its command and the environment that it hands on."""
    monkeypatch.setattr(paths, "OUTPUTS", tmp_path)
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "")  # so that it is as before afterwards
    monkeypatch.delenv("JUPYTER_PREFER_ENV_PATH")
    monkeypatch.setattr(__main__.os, "chdir", lambda place: None)
    seen = {}
    monkeypatch.setattr(
        __main__.os, "execv", lambda program, command: seen.update(command=command, **__main__.os.environ)
    )

    def start():
        __main__.snakemake("smoke", [])
        return seen

    return start


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the lock goes over to Snakemake
def test_the_environments_own_kernel_goes_before_one_of_the_users(started):
    assert started()["JUPYTER_PREFER_ENV_PATH"] == "1"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_on_a_file_system_without_locks_a_run_starts_with_a_warning(started, monkeypatch, capsys):
    def refused(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(__main__.fcntl, "flock", refused)
    assert "snakemake" in started()["command"]
    assert "cannot be locked (No locks available)" in capsys.readouterr().out
