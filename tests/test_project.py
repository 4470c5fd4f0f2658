"""The repository as a whole: files that must agree, notebooks that must be clean, layers that must hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import scicot_utils
from scicot_utils import microsci, paths, provenance, recipe, report, tables

NOTEBOOKS = sorted(path.stem for path in paths.NOTEBOOKS.glob("*.ipynb"))


def tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=paths.ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout, so what is tracked cannot be told")
    return [name for name in listing.stdout.splitlines() if (paths.ROOT / name).is_file()]


def cells(notebook: str) -> list[dict]:
    return json.loads(paths.notebook(notebook).read_text(encoding="utf-8"))["cells"]


def text_of(name: str) -> str:
    return (paths.ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_is_committed_without_outputs_or_execution_metadata(notebook):
    content = json.loads(paths.notebook(notebook).read_text(encoding="utf-8"))
    assert "papermill" not in content["metadata"]
    assert "version" not in content["metadata"].get("language_info", {})
    for cell in content["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")
        assert not {"execution", "papermill", "ExecuteTime"} & cell["metadata"].keys()


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_keeps_to_the_form(notebook):
    all_cells = cells(notebook)
    code = ["".join(cell["source"]) for cell in all_cells if cell["cell_type"] == "code"]
    first = "".join(all_cells[0]["source"])
    assert first.startswith(f"# {notebook.split('_')[0].lstrip('0')} · ") and "| reads | writes |" in first
    tagged = [index for index, cell in enumerate(all_cells) if "parameters" in cell["metadata"].get("tags", [])]
    assert tagged == [1]
    assert f'provenance.begin("{notebook}", globals()' in code[1], "parameters are checked before any work"
    assert any("## What we found" in "".join(cell["source"]) for cell in all_cells)
    assert len(all_cells) <= 26
    assert not any(re.search(r"^\s*(!|%pip|%conda)|\bdef \w+\(", source, re.MULTILINE) for source in code)


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_the_book_folds_long_code_and_the_parameters_and_no_other(notebook):
    for cell in cells(notebook):
        if cell["cell_type"] == "code":
            tags, lines = cell["metadata"].get("tags", []), "".join(cell["source"]).splitlines()
            long = len(lines) > 12 or "parameters" in tags
            assert ("hide-input" in tags) == long, f"{len(lines)} lines: {lines[0]}"


def test_what_only_shows_results_is_no_input_of_a_training():
    for notebook in ("04_stage1_rationales", "05_stage2_answers", "06_baselines", "A1_micro_student"):
        report_files = [name for name in provenance.code(notebook) if name.startswith("scicot_utils/report/")]
        assert report_files == ["scicot_utils/report/style.py"]


def test_what_takes_a_gpu_says_how_much_of_its_memory():
    declared = re.findall(r"^    resources:\n((?:        .+\n)+)", text_of("Snakefile"), re.MULTILINE)
    assert len(declared) == 3, "trainings of the study, those of appendix A1, and appendix A2"
    assert all(re.findall(r"^ +(\w+)=", lines, re.MULTILINE) == ["gpu", "gpu_gib"] for lines in declared)


def test_a_package_hands_on_names_and_does_nothing_else():
    """So a module of it may count as an input without it."""
    for file in paths.PACKAGE.glob("*/__init__.py"):
        docstring, *body = ast.parse(file.read_text(encoding="utf-8")).body
        assert isinstance(docstring, ast.Expr)
        typing_only = [node for node in body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        imports = [node for block in typing_only for node in block.body]
        assert all(
            isinstance(node, ast.Import | ast.ImportFrom) or ast.unparse(node).startswith("__all__ =")
            for node in imports
            + [node for node in body if node not in typing_only and getattr(node, "name", "") != "__getattr__"]
        )


def test_file_names_toc_flow_picture_readme_and_rules_agree_on_the_notebooks_and_their_order():
    main = [name for name in NOTEBOOKS if name[0].isdigit()]
    toc = yaml.safe_load(text_of("book/_toc.yml"))
    chapters = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert [name.split("/")[1] for name in chapters if re.match(r"notebooks/\d", name)] == main
    assert "notebooks/A2_what_it_knows" in chapters and "notebooks/A1_micro_student" not in chapters, (
        "A1 is not run by default"
    )
    assert [name for name in report.FLOW_BOXES if name != "book"] == main
    edges = re.findall(r"^  (\w+) --> (\w+)$", text_of("README.md"), re.MULTILINE)
    assert tuple(edges) == report.FLOW
    order = list(report.FLOW_BOXES)
    assert all(order.index(start) < order.index(end) for start, end in edges), "no arrow points back"
    assert sorted(set(re.findall(r'"(\d\d_\w+)": ', text_of("Snakefile")))) == main


def test_every_page_of_the_toc_exists_and_every_page_is_in_it():
    toc = yaml.safe_load(text_of("book/_toc.yml"))
    chapters = {toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])}
    pages = {path.stem for path in paths.BOOK.glob("*.md")}
    assert {name for name in chapters if not name.startswith("notebooks/")} == pages
    assert {name.split("/")[1] for name in chapters if name.startswith("notebooks/")} <= set(NOTEBOOKS)


def test_environments_agree():
    pins = dict(line.split("==") for line in text_of("constraints.txt").split() if "==" in line)
    pins = {name.lower().replace("_", "-"): version for name, version in pins.items()}
    project = tomllib.loads(text_of("pyproject.toml"))["project"]
    requirements = project["dependencies"] + project["optional-dependencies"]["test"]
    names = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in requirements}
    for requirement in map(Requirement, requirements):
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")]), requirement
    conda = yaml.safe_load(text_of("environment.yml"))["dependencies"]
    of_conda = dict(line.lower().split("==") for line in conda[-1]["pip"] if "==" in line)
    assert of_conda == {name: pins[name] for name in names}


def test_the_manifest_for_kubernetes_is_one_job_that_runs_what_the_readme_runs():
    claim, job = yaml.safe_load_all(text_of("notebooks/profiles/kubernetes/job.yaml"))
    assert (claim["apiVersion"], claim["kind"]) == ("v1", "PersistentVolumeClaim")
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    pod = job["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["restartPolicy"] in ("OnFailure", "Never")  # what a job may have
    [volume], [mount] = pod["volumes"], container["volumeMounts"]
    assert volume["name"] == mount["name"] and mount["mountPath"] == container["workingDir"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    variables = {variable["name"]: variable["value"] for variable in container["env"]}
    assert variables["REPOSITORY"] == ""  # no address of ours
    assert recipe.load(variables["RECIPE"])  # a recipe that there is
    python = container["image"].removeprefix("python:")
    needed = tomllib.loads(text_of("pyproject.toml"))["project"]["requires-python"]
    assert SpecifierSet(needed).contains(python)
    [script] = container["args"]
    assert {*re.findall(r"\$(\w+)", script)} == {*variables}
    subprocess.run([*container["command"][:1], "-n", "-c", script], check=True)
    cores = re.search(r"--cores (\d+) --resources gpu=(\d+)", script)
    assert cores[1] == cores[2] == container["resources"]["requests"]["cpu"]
    for line in script.splitlines()[-1:]:
        assert line.startswith("make book ") and "make book" in text_of("README.md")


def test_constraints_hold_plain_pins_only_and_pre_commit_uses_them():
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in text_of("constraints.txt").splitlines())
    pins = dict(line.split("==") for line in text_of("constraints.txt").split())
    repos = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    hooks = {repo["repo"].rsplit("/", 1)[1]: repo["rev"].lstrip("v") for repo in repos}
    assert hooks == {"ruff-pre-commit": pins["ruff"], "nbstripout": pins["nbstripout"], "snakefmt": pins["snakefmt"]}


def test_every_recipe_opens_with_hardware_and_time():
    for path in paths.RECIPES.glob("*.yaml"):
        first = path.read_text(encoding="utf-8").splitlines()[0]
        assert re.match(r"# .*(core|GPU).*minutes", first), path.name


def test_no_tracked_file_holds_an_absolute_path_of_a_machine():
    home = re.compile(r"(?<![\w.])/(?:home|root|Users|work|mnt)/\w")
    for name in tracked():
        if not name.endswith((".safetensors", ".png", "LICENSE", "test_project.py")):
            assert not home.search(text_of(name)), name


def test_what_is_tracked_under_outputs_is_small_and_reference_only():
    names = [name for name in tracked() if name.startswith("outputs/")]
    assert all(name == "outputs/README.md" or name.startswith("outputs/reference/") for name in names)
    assert sum((paths.ROOT / name).stat().st_size for name in names) <= 5 * 2**20


def test_layers_hold():
    done = subprocess.run(["lint-imports", "--no-cache"], cwd=paths.ROOT, capture_output=True, text=True, env=None)
    assert done.returncode == 0, done.stdout


def test_the_developer_page_lists_the_modules_in_the_order_of_the_layers():
    layers = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]["layers"]
    from_below = [layer.split(".")[1] for layer in reversed(layers) if not layer.endswith("__main__")]
    documented = re.findall(r"^\| `(\w+)` \| ", text_of("book/developer.md"), re.MULTILINE)
    assert documented == from_below
    assert sorted(from_below) == sorted(
        path.stem
        for path in paths.PACKAGE.iterdir()
        if not path.stem.startswith("__") and (path.suffix == ".py" or (path / "__init__.py").exists())
    )


def test_the_shipped_student_is_what_its_record_says_and_of_the_world_that_is_shipped(tmp_path):
    record = json.loads((paths.MICRO_STUDENT / "provenance.json").read_text(encoding="utf-8"))
    assert record["world"] == microsci.fingerprint()
    settings = recipe.load("micro").settings()
    assert {key: record["settings"][key] for key in recipe.Pretraining.model_fields} == {
        key: getattr(settings, key) for key in recipe.Pretraining.model_fields
    }
    beside = {"README.md", "knowledge.csv", "skills.csv", "provenance.json"}
    for file in paths.MICRO_STUDENT.iterdir():
        if file.name not in beside:
            (tmp_path / file.name).write_bytes(file.read_bytes())
    assert tables.digest(tmp_path) in record["outputs"].values()


def test_every_place_that_says_how_to_cite_names_the_same_title_and_version():
    citation = yaml.safe_load(text_of("CITATION.cff"))
    page = text_of("book/cite.md")
    assert scicot_utils.__version__ == citation["version"] and f"version = {{{citation['version']}}}" in page
    assert all(title in page for title in (citation["title"], *(paper["title"] for paper in citation["references"])))


@pytest.mark.parametrize(
    ("module", "spared"),
    [("recipe", "matplotlib"), *((module, "transformers") for module in ("arms", "report", "rationales", "students"))],
)
def test_what_needs_no_student_does_not_wait_for_torch_and_a_recipe_needs_no_plotting(module, spared):
    code = f"import sys, scicot_utils.{module}; sys.exit(bool({{'torch', '{spared}'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=paths.ROOT).returncode == 0
