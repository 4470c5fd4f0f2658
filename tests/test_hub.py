"""Names of the hub: read as local folders from its own cache, pinned to a commit, and said so."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import gguf
import numpy as np
import pytest
from conftest import MINIMAL, refused
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BloomConfig,
    BloomModel,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
)

from scicot_utils import hub, paths, provenance, students, tasks
from scicot_utils import recipe as recipes
from scicot_utils.recipe import Settings
from scicot_utils.teachers import TeacherError
from scicot_utils.teachers.local import Local

FIRST, SECOND = "a" * 40, "b" * 40


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """Puts a folder into a hub cache of its own as a commit, the newest one of its name; nothing is asked of a network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "PINS", tmp_path / "hub.json")

    def put(name, commit, content):
        kind, _, bare = name.rpartition("datasets/")
        folder = tmp_path / "hub" / f"{'dataset' if kind or bare != name else 'model'}s--{bare.replace('/', '--')}"
        shutil.copytree(content, folder / "snapshots" / commit)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(commit)

    return put


def arc(folder, word):
    """A folder of ARC's files as the hub has them."""
    template = {"choices": {"label": ["A", "B"], "text": ["x", "y"]}, "answerKey": "B"}
    (folder / "ARC-Easy").mkdir(parents=True)
    for split in ("train", "validation", "test"):
        row = template | {"id": split, "question": f"Which one {word}? {split}"}
        (folder / "ARC-Easy" / f"{split}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def read():
    sizes = dict.fromkeys(("train", "validation", "test", "test_forms", "test_domain"), 0)
    return [row["question"] for row in tasks.load("ARC-Easy", dataset_path="", sizes=sizes, seed=0)]


def test_a_benchmark_of_the_hub_stays_at_the_commit_that_was_fetched_until_its_pin_is_deleted(cached, tmp_path):
    cached("datasets/allenai/ai2_arc", FIRST, arc(tmp_path / "one", "first"))
    assert read()[0] == "Which one first? train"
    cached("datasets/allenai/ai2_arc", SECOND, arc(tmp_path / "two", "second"))
    assert read()[0] == "Which one first? train"
    assert json.loads(hub.PINS.read_text()) == {"datasets/allenai/ai2_arc": FIRST}
    hub.PINS.unlink()
    assert read()[0] == "Which one second? train"


def test_a_student_of_the_hub_is_read_at_its_pin_or_the_revision_that_is_named(cached):
    for commit in (FIRST, SECOND):
        cached("org/tiny", commit, paths.MICRO_STUDENT)
    assert hub.folder(f"org/tiny@{FIRST}").name == FIRST and hub.folder("org/tiny").name == SECOND
    shipped, by_name = students.load("micro"), students.load(f"org/tiny@{FIRST}")
    assert students.parameters(by_name) == students.parameters(shipped)


def test_what_the_hub_gave_is_named_with_its_commit_and_content(cached, tmp_path):
    planned = recipes.load("arc")
    before = provenance.sources(planned)
    assert {row["sha256"] for row in before} == {"–"}
    with refused(provenance.InputError, "datasets: 'datasets/allenai/ai2_arc' could not be fetched from the hub"):
        provenance.fetch(planned)
    cached("datasets/allenai/ai2_arc", FIRST, arc(tmp_path / "one", "first"))
    for row in before:
        if row["key"] != "datasets":
            cached(row["named"], SECOND, paths.MICRO_STUDENT)
    provenance.fetch(planned)
    sources = {row["named"]: row for row in provenance.sources(planned)}
    assert f"commit {FIRST[:12]}" in sources["datasets/allenai/ai2_arc"]["size"]
    assert all(len(row["sha256"]) == 64 for row in sources.values())
    study = provenance.Study(
        "06_baselines", "arc", planned, planned.settings("answer_only"), "ARC-Easy", "answer_only", "main", 0, {}
    )
    study.record(tmp_path / "provenance.json", outside=study.elsewhere())
    outside = json.loads((tmp_path / "provenance.json").read_text())["outside"]
    assert outside["google/flan-t5-small"]["commit"] == SECOND and str(tmp_path) not in str(outside)


def test_several_processes_pin_what_each_fetched(cached, tmp_path):
    for number in range(6):
        cached(f"org/tiny{number}", FIRST, paths.MICRO_STUDENT)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(hub.folder, [f"org/tiny{number % 6}" for number in range(24)]))
    assert set(json.loads(hub.PINS.read_text())) == {f"org/tiny{number}" for number in range(6)}


def test_what_was_not_fetched_to_its_end_is_not_here(cached, tmp_path):
    cached("org/tiny", FIRST, paths.MICRO_STUDENT)
    assert hub.here("org/tiny") is None  # in the hub's cache, but nobody knows that it is whole
    hub.folder("org/tiny")
    assert hub.here("org/tiny").name == FIRST and hub.here("org/tiny/other.gguf") is None
    assert hub.commit(tmp_path / "snapshots" / "2024-05" / "model") == ""


def test_a_teacher_of_the_hub_is_among_what_a_recipe_reads(cached, write_recipe):
    file = write_recipe(f"{MINIMAL}teacher: {{teacher: local, teacher_model: org/teacher}}\n")
    assert [row["named"] for row in provenance.sources(recipes.load(file))] == ["org/teacher"]


# Models that others made: what the library would load without a word, or refuse in many lines


def edited(folder, **changes):
    """The shipped student, with these changes of its config."""
    shutil.copytree(paths.MICRO_STUDENT, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def without(folder, pattern):
    for file in [*edited(folder).glob(pattern)]:
        file.unlink()
    return folder


def damaged(folder, change):
    weights = edited(folder) / "model.safetensors"
    weights.write_bytes(change(weights.read_bytes()))
    return folder


def with_adapter(folder):
    (folder / "adapter_config.json").write_text("{}", encoding="utf-8")
    return folder


def not_a_number(folder):
    weights = load_file(edited(folder) / "model.safetensors")
    weights["model.shared.weight"][0, 0] = float("nan")
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def masked(folder):
    BertForMaskedLM(BertConfig(vocab_size=99, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)).save_pretrained(folder)  # fmt: skip
    return folder


def with_code(folder):
    edited(folder, model_type="mine", auto_map={"AutoConfig": "code.Mine", "AutoModelForSeq2SeqLM": "code.Mine"})
    (folder / "code.py").write_text("raise SystemExit", encoding="utf-8")
    return folder


NO_WEIGHTS = "the weights are cut short, or an LFS pointer stands in their place"
UNREADABLE = {
    "with code": (with_code, "contains custom code which must be executed"),
    "cut": (lambda folder: damaged(folder, lambda content: content[:5000]), NO_WEIGHTS),
    "a pointer": (lambda folder: damaged(folder, lambda _: b"version https://git-lfs.github.com/spec/v1\n"), NO_WEIGHTS),
    "nothing there": (lambda folder: without(folder, "*"), "config.json"),
    "no tokenizer, which the library would make up": (lambda folder: without(folder, "tokenizer*"), "its tokenizer knows 0 tokens"),
    "deeper": (lambda folder: edited(folder, encoder_layers=3), r"\d+ of its weights, such as .*, are not in its files"),
    "wider": (lambda folder: edited(folder, d_model=64), r"\d+ of its weights, such as .*, have another shape in its files"),
    "not a number": (not_a_number, "1 of its weights, such as model.shared.weight, hold values that are no finite numbers"),
    "an adapter beside its base": (lambda folder: with_adapter(edited(folder)), "it holds an adapter: merge it into its base model, or delete adapter_config.json"),
    "an adapter alone": (lambda folder: with_adapter(without(folder, "*")), "it holds an adapter: merge it into its base model"),
    "masked": (masked, "its config names BertForMaskedLM, which writes no text"),
    "a file of it": (lambda folder: edited(folder) / "model.safetensors", "it is a file, but not of GGUF: name its folder"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNREADABLE)
def test_a_model_that_cannot_be_read_is_refused_in_one_line_as_student_and_as_teacher(tmp_path, monkeypatch, fault):
    monkeypatch.setattr("builtins.input", lambda *_: "y")  # whether to run the code, if anybody asked
    make, message = UNREADABLE[fault]
    path = make(tmp_path / "m")
    with refused(students.StudentError, rf"cannot be read \(a folder\): .*{message}"):
        students.load(str(path))
    with refused(TeacherError, f"teacher_model '.*' cannot be read .*{message}.*allowed: a name of the hub"):
        Local(Settings(teacher="local", teacher_model=str(path)))


def base(folder):
    BloomModel(BloomConfig(vocab_size=99, hidden_size=8, n_layer=1, n_head=2)).save_pretrained(folder)


def with_images(folder):
    text = {
        "vocab_size": 99,
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    text |= {f"linear_{name}": 2 for name in ("num_key_heads", "num_value_heads", "key_head_dim", "value_head_dim")}
    text |= {"num_key_value_heads": 1, "head_dim": 8, "tie_word_embeddings": True}
    images = {"depth": 1, "hidden_size": 8, "intermediate_size": 8, "num_heads": 1, "out_hidden_size": 8}
    config = Qwen3_5Config(text_config=text, vision_config=images, tie_word_embeddings=True)
    Qwen3_5ForConditionalGeneration(config).save_pretrained(folder)


@pytest.mark.parametrize(("save", "name"), [(base, "BloomModel"), (with_images, "Qwen3_5ForConditionalGeneration")])
def test_a_causal_model_may_be_part_of_what_the_config_names(tmp_path, save, name):
    """BLOOM was saved as its base, whose embeddings are the head; others are saved with what reads images."""
    save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))["architectures"] == [name]
    model = hub.model(tmp_path)
    assert type(model).__name__.endswith("ForCausalLM") and model.get_output_embeddings().weight.shape == (99, 8)


def test_a_decoder_that_does_not_know_how_a_text_begins_is_no_student(tmp_path):
    folder = edited(tmp_path / "m", decoder_start_token_id=None)
    with refused(students.StudentError, "its config.json needs decoder_start_token_id"):
        students.load(str(folder))


def test_quantised_weights_are_no_student(tmp_path):
    """Some could not be read here, and none could be trained."""
    folder = edited(tmp_path / "m", quantization_config={"quant_method": "gptq", "bits": 4})
    with refused(students.StudentError, "its weights are quantised and cannot be trained: name the model they were"):
        students.load(str(folder))


def whole_gguf(file):
    """A sound GGUF file of an architecture that nobody reads."""
    writer = gguf.GGUFWriter(file, "nobody")
    writer.add_tensor("weights", np.ones((64, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file.read_bytes()


@pytest.mark.parametrize("size", [0, 10, 60, 150, 9000], ids=lambda size: f"{size} bytes")
def test_a_gguf_file_that_is_cut_is_said_to_be(tmp_path, size):
    file = tmp_path / "mine.gguf"
    file.write_bytes(whole_gguf(file)[:size])
    with refused(
        students.StudentError, r"mine.gguf' cannot be read \(a file\): .*the weights are cut short, or an LFS"
    ):
        students.load(paths.source(str(file)))


def test_a_whole_gguf_file_that_cannot_be_read_is_not_said_to_be_cut(tmp_path):
    whole_gguf(tmp_path / "mine.gguf")
    with refused(
        students.StudentError, r"cannot be read \(a file\): GGUF model with architecture nobody is not"
    ) as error:
        students.load(str(tmp_path / "mine.gguf"))
    assert "cut short" not in str(error.value)
