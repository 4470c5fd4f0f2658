"""Notebooks 02 and 03 with a teacher behind a real server, and with one that writes whatever could break a page."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from faulty_server import FaultyServer
from project_copies import Page, call, copy_of_the_project, environment, rules_of
from test_local_teacher import TEMPLATE, checkpoint

from scicot_utils import microsci, tables

pytestmark = pytest.mark.pipeline

KEY = "sk-Planted-Secret-9876543210"
RECIPE = """# a test: 2 CPU cores, about 1 minutes
description: The teacher is served.
datasets: [microsci]
distill: [microsci]
arms: [untrained, answer_only]
seeds: [0]
questions: {{train_questions: 24, validation_questions: 8, test_questions: 8}}
teacher:
  teacher: openai
  teacher_model: {model}
  teacher_base_url: {url}
  teacher_api_key_env: KEY_OF_THE_TEST
  teacher_splits: train,validation
  dev_questions: 8
  prompt: zero_shot_cot_one_call
  {more}
rationales: {{filter: all}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project with a questions table, as notebook 01 would have made it."""
    root = copy_of_the_project(tmp_path_factory.mktemp("served") / "project")
    ceiling = root / "outputs/reference/micro_ceiling/metrics.csv"
    ceiling.parent.mkdir(exist_ok=True)
    ceiling.touch()  # for a checkout whose record is still to be made
    world = microsci.load_world()
    solver = microsci.Solver(world)
    rows = [
        row | {"proof": list(solver.proof(row["question"], row["choices"]["text"]))}
        for row in microsci.questions(world, {"train": 24, "validation": 8, "test": 8}, 0)
    ]
    for name in ("real", "same", "nasty", "locked", "capped", "omitting", "given"):
        tables.write("questions", rows, root / f"outputs/{name}/questions/microsci/main.parquet")
    return root


def execute(root, name, notebook, url, model="m", more="teacher_max_tokens: 96"):
    """A notebook run by papermill as the pipeline does; (executed notebook, all that was printed)."""
    (root / f"notebooks/recipes/{name}.yaml").write_text(RECIPE.format(url=url, model=model, more=more))
    out = root / f"outputs/{name}/notebooks/{notebook}.ipynb"
    out.parent.mkdir(parents=True, exist_ok=True)
    words = [f"{notebook}.ipynb", str(out), "-p", "recipe", name, "--log-output", "--no-progress-bar"]
    variables = {"KEY_OF_THE_TEST": KEY, "SCICOT_ENGINE": "1"}
    return out, call(root, "papermill", *words, cwd=root / "notebooks", variables=variables)


def executed(*arguments, **more):
    """What stands in the outputs of a notebook that ran to its end, its file, and its process."""
    out, process = execute(*arguments, **more)
    assert process.returncode == 0, process.stderr[-3000:]
    return outputs_of(out), out, process


def planned_rules(root, name, target, teacher):
    """Rule → number of jobs that the pipeline would run to make a file, with this teacher."""
    head = "# a test: 2 CPU cores, about 1 minutes\ndescription: x\ndatasets: [microsci]\ndistill: [microsci]\n"
    text = f"{head}arms: [answer_only]\nseeds: [0]\nteacher: {{teacher: {teacher}}}\n"
    (root / f"notebooks/recipes/{name}.yaml").write_text(text)
    profile = ("--workflow-profile", "notebooks/profiles/default")
    process = call(root, "snakemake", *profile, "--config", f"recipe={name}", "-n", str(target.relative_to(root)))
    assert process.returncode == 0, process.stderr[-2000:]
    return rules_of(process.stdout + process.stderr)


def outputs_of(notebook, kinds=("text/html", "text/markdown", "text/plain")):
    outputs = [out for cell in json.loads(notebook.read_text())["cells"] for out in cell.get("outputs", [])]
    return "\n".join(
        "".join(out.get("text", "")) + "".join("".join(out.get("data", {}).get(kind, "")) for kind in kinds)
        for out in outputs
    )


def printed_anywhere(root, name):
    files = [*(root / "outputs" / name).rglob("*"), *(root / "outputs/cache").glob(f"{name}*")]
    return b"\n".join(file.read_bytes() for file in files if file.is_file())


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory):
    """`transformers serve` with a tiny random checkpoint; (base_url, model)."""
    folder = checkpoint(tmp_path_factory.mktemp("served") / "tiny", "causal", TEMPLATE, ends=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", "from transformers.cli.transformers import main; main()", "serve", folder]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"],
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(240):
            assert process.poll() is None
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        process.terminate()
        process.wait()


def test_notebooks_run_against_transformers_serve(project, transformers_serve):
    url, model = transformers_serve
    more = "temperature: 1.0\n  teacher_max_tokens: 24"
    for notebook in ("02_teacher_prompting", "03_rationale_generation"):
        text, _, process = executed(project, "real", notebook, url, model, more)
        assert "price unknown" in text or "unknown" in text
    completions = tables.read("completions", project / "outputs/real/completions/microsci/main.parquet")
    assert len(completions) == 32 and {row["teacher"] for row in completions} == {model}
    assert "stop" in {row["finish_reason"] for row in completions} <= {"stop", "length", "empty"}
    assert all(row["completion_tokens"] > 0 and row["usd"] != row["usd"] for row in completions)
    judgements = tables.read("rationales", project / "outputs/real/rationales/microsci/main.parquet")
    assert any(row["kept"] for row in judgements)
    assert {row["drop_reason"] for row in judgements} <= {"", "length", "empty"}
    assert "completion/s" in process.stderr or "completion/s" in process.stdout or "completion/s" in text


def test_the_same_recipe_runs_on_another_server_with_only_address_and_model_changed(project):
    with FaultyServer(rate=0.2, faults=("429", "500", "truncated"), key=KEY) as server:
        for notebook in ("02_teacher_prompting", "03_rationale_generation"):
            more = "temperature: 1.0\n  teacher_max_tokens: 96"
            _, out, process = executed(project, "same", notebook, server.url, "another/model", more)
    assert "What we found" in out.read_text()
    assert KEY.encode() not in printed_anywhere(project, "same") and KEY not in process.stdout + process.stderr
    provenance = json.loads((project / "outputs/same/rationales/microsci/main.provenance.json").read_text())
    assert provenance["teacher"]["model"] == "another/model"
    assert provenance["settings"]["teacher_api_key_env"] == "KEY_OF_THE_TEST"


def test_a_refused_key_stops_the_notebook_in_one_line_and_is_not_told(project):
    with FaultyServer(key="another") as server:
        _, process = execute(project, "locked", "03_rationale_generation", server.url)
    assert process.returncode
    errors = [line for line in process.stderr.splitlines() if line.startswith("TeacherError")]
    assert errors and "set the environment variable KEY_OF_THE_TEST" in errors[0]
    assert KEY.encode() not in printed_anywhere(project, "locked") and KEY not in process.stdout + process.stderr


def test_a_cap_stops_the_notebook_and_a_higher_one_goes_on(project):
    with FaultyServer() as server:
        prices = "teacher_prices: m=100/1000"
        capped = (project, "capped", "03_rationale_generation", server.url)
        _, process = execute(*capped, more=f"{prices}\n  max_usd: 0.9")
        assert process.returncode and "BudgetReached: budget: " in process.stderr
        assert 0 < server.charged * 0.021 <= 0.9
        text, *_ = executed(*capped, more=f"{prices}\n  max_usd: 99.0")
        assert set(server.whole.values()) == {1} and len(server.whole) == 32
    assert f"{32 * 0.021:.4g}" in text
    assert (
        "Requests ever sent through this cache: 32 (max_requests: none), for at most 0.67 USD as far as prices were "
        "listed (max_usd: 99)."
    ) in text


def test_a_model_that_refuses_parameters_goes_through_notebook_02_whose_estimate_counts_variants(project):
    more = "teacher_omit: temperature,seed\n  teacher_prices: m=100/1000\n"
    more += "variants: {warm: {samples: 2, temperature: 1.0}}"
    with FaultyServer(refused=("temperature", "seed")) as server:
        text, *_ = executed(project, "omitting", "02_teacher_prompting", server.url, more=more)
    expected = "variants included, is expected to cost 2.02 USD (2.02 USD to 2.02 USD)"  # 32 and 64 at 0.021
    assert expected in text


def test_what_was_given_up_is_told_with_how_to_ask_again_and_unread_answers_are_wrong_ones(project):
    lost = tables.read("questions", project / "outputs/given/questions/microsci/main.parquet")[0]["question"]
    with FaultyServer(special={lost: (503, {"error": {"message": "overloaded"}})}, reply="Because.") as server:
        text, *_ = executed(project, "given", "03_rationale_generation", server.url, more="teacher_tries: 2")
    again = "`python -m scicot_utils forget given unanswered`, then `make book RECIPE=given`"
    assert f"Given up: 1; to ask again: {again}." in text
    assert (
        "The teacher's accuracy on the training questions is 0" in text
        and "file" not in text.split("What we found")[-1]
    )


def test_what_was_forgotten_makes_the_notebooks_that_ask_run_again(project):
    out, paid = project / "outputs/again", "openai, teacher_model: m"
    files = [
        out / "notebooks/01_questions.ipynb", out / "questions/microsci/main.parquet",
        out / "notebooks/02_teacher_prompting/microsci.ipynb",
        out / "notebooks/03_rationale_generation/microsci/main.ipynb",
        out / "completions/microsci/main.parquet", out / "rationales/microsci/main.parquet",
    ]  # fmt: skip
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert planned_rules(project, "again", files[-1], paid) == {}
    (project / "outputs/cache").mkdir(exist_ok=True)
    (project / "outputs/cache/again.forgotten").touch()
    assert planned_rules(project, "again", files[-1], paid) == {"teacher_prompting": 1, "rationale_generation": 1}


@pytest.mark.parametrize(("teacher", "estimated"), [("openai, teacher_model: m", True), ("simulated", False)])
def test_the_estimate_comes_before_the_full_run_where_the_teacher_is_paid(project, teacher, estimated):
    planned = planned_rules(project, "planned", project / "outputs/planned/rationales/microsci/main.parquet", teacher)
    assert planned == {"questions": 1, "rationale_generation": 1} | ({"teacher_prompting": 1} if estimated else {})


NASTY = (
    "<script>alert(1)</script><img src=x onerror=alert(2)> **bold** [link](javascript:alert(3)) {glue}`x` $\\frac{1}{0$ "
    "$$ \\begin{x} ``` :::{note} \x1b[31mred\x1b[0m \x00 null \u202eltr\u202c مرحبا | cell | \n\n# Heading\n\n---\n\n"
    + "x" * 50_000
    + "\nThe answer is (B)."
)


def test_whatever_a_teacher_writes_breaks_and_runs_nothing_in_notebook_and_book(project):
    with FaultyServer(reply=NASTY) as server:
        for notebook in ("02_teacher_prompting", "03_rationale_generation"):
            _, out, _ = executed(project, "nasty", notebook, server.url)
            page = outputs_of(out, ("text/html", "text/markdown"))
            assert "&lt;script&gt;alert" in page and "<script>alert" not in page and "<img src=x" not in page
            assert not set(page) & set("\x00\x1b\u202e")
    book = project / "outputs/nasty/book"
    shutil.copytree(project / "book/_static", book / "_static")
    (book / "index.ipynb").write_text(out.read_text())
    (book / "02.ipynb").write_text((out.parent / "02_teacher_prompting.ipynb").read_text())
    (book / "_toc.yml").write_text("format: jb-book\nroot: index\nchapters: [{file: '02'}]\n")
    (book / "references.bib").write_text((project / "book/references.bib").read_text())
    program = [Path(sys.executable).with_name("jupyter-book"), "build", book, "--config", "_config.yml"]
    words = [*map(str, program), "--path-output", str(book), "--warningiserror", "--keep-going"]
    built = subprocess.run(words, cwd=project, env=environment(project), capture_output=True, text=True)
    wrong = [line for line in built.stderr.splitlines() if "WARNING" in line and "/nasty/" in line]
    allowed = ("cross-reference", "unknown document", "could not find bibtex", "citation")
    assert all(any(words in line for words in allowed) for line in wrong), wrong  # links to pages that are not here
    page = Page(book / "_build/html/index.html")
    html = (book / "_build/html/index.html").read_text()
    assert "<script>alert(1)" not in html and not any(image.get("src") == "x" for image in page.images)
    assert not any(link.startswith("javascript:alert") for link in page.links)
    assert "alert(1)" in html, "it is shown, as text"
