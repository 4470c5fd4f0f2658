"""Names of a recipe as places: what is expanded, what is made first, what stays a name of the hub."""

from pathlib import Path

import pytest

from scicot_utils import paths


def test_a_place_inside_is_told_from_the_root_and_one_outside_as_it_is(tmp_path):
    assert paths.relative(paths.OUTPUTS / "micro") == "outputs/micro"
    assert paths.relative(tmp_path) == str(tmp_path)


def test_a_path_of_a_recipe_may_hold_variables_a_home_or_nothing_of_the_kind(monkeypatch, tmp_path):
    monkeypatch.setenv("SCICOT_DATA", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.expand("${SCICOT_DATA}/a b/ü") == tmp_path / "a b" / "ü"
    assert paths.expand("~/data") == tmp_path / "data"
    assert paths.expand("notebooks") == paths.NOTEBOOKS


def test_a_model_is_a_folder_where_there_is_one_and_else_a_name_of_the_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("SCICOT_DATA", str(tmp_path))
    assert paths.source("micro") == str(paths.MICRO_STUDENT)
    assert paths.source("google/flan-t5-small") == "google/flan-t5-small"
    assert paths.source("${SCICOT_DATA}/student") == str(tmp_path / "student")
    assert Path(paths.source("outputs/reference/micro_student")) == paths.MICRO_STUDENT
    assert paths.source("") == ""


@pytest.mark.parametrize(
    ("name", "folders"),
    [
        ("micro-small/seed3", ["outputs/r/pretraining/main/micro-small/seed3/model"]),
        ("smollm2-135m", ["outputs/cache/students/smollm2-135m"]),  # shared by all recipes
        ("micro", []),
        ("micro-small/seedx", []),
        ("google/flan-t5-small", []),
    ],
)
def test_which_students_are_made_first_and_where(name, folders):
    assert [paths.relative(folder) for folder in paths.pretrained("r", name)] == folders
    if folders:
        assert paths.relative(paths.student("r", name)) == folders[0]


@pytest.mark.parametrize("home", ["/dev/null", "/no/such/folder", ""])
def test_without_a_home_one_among_the_outputs_stands_in_and_one_that_can_be_written_to_stays(
    tmp_path, monkeypatch, home
):
    monkeypatch.setenv("HOME", str(tmp_path))
    paths.have_a_home()
    assert paths.os.environ["HOME"] == str(tmp_path)
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(paths.os, "access", lambda *_: False)
    monkeypatch.setenv("HOME", home)
    paths.have_a_home()
    assert paths.os.environ["HOME"] == str(tmp_path / "cache" / "home") and (tmp_path / "cache" / "home").is_dir()
