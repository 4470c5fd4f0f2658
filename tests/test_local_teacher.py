"""A model on this machine as teacher: random weights, so only the way of asking is looked at, never the answers."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from conftest import make_question, refused
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from scicot_utils import teachers
from scicot_utils.prompts import TEACHER_PROMPTS
from scicot_utils.recipe import Settings
from scicot_utils.serving.cache import Cache
from scicot_utils.teachers import TeacherError
from scicot_utils.teachers.local import Local, _Draw

ONE_CALL, TWO_CALLS = TEACHER_PROMPTS["zero_shot_cot_one_call"], TEACHER_PROMPTS["zero_shot_cot"]
TEMPLATE = "{% for m in messages %}<user>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}"


def checkpoint(folder, kind, chat_template="", ends=False):
    """A tiny model with random weights and a tokenizer of single bytes, in the ordinary layout.

    `ends`: about one token in twenty is the last.
    """
    vocabulary = {"<pad>": 0, "</s>": 1, "<user>": 2, "<bot>": 3, **{chr(i): i for i in range(32, 127)}}
    backend = Tokenizer(models.WordLevel(vocabulary | {"<unk>": 127}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens=["<user>", "<bot>"],
    )  # fmt: skip
    tokenizer.chat_template = chat_template or None
    torch.manual_seed(0)
    if kind == "causal":
        config = GPT2Config(
            vocab_size=128, n_positions=1024, n_embd=32, n_layer=2, n_head=2, bos_token_id=1, eos_token_id=1,
            initializer_range=0.02 if ends else 0.3,
        )  # fmt: skip
        model = GPT2LMHeadModel(config)
        if ends:
            last = model.transformer.wte.weight[1].detach()
            model.generation_config.do_sample = True  # else `transformers serve` ignores a request's temperature
            model.transformer.ln_f.bias.data += 1.0 * last / last.square().sum()
    else:
        config = T5Config(
            vocab_size=128, d_model=32, d_kv=16, d_ff=32, num_layers=2, num_heads=2, decoder_start_token_id=0,
            pad_token_id=0, eos_token_id=1,
        )  # fmt: skip
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module", params=["causal", "seq2seq"])
def folder(request, tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp(request.param), request.param)


def local(folder, **changes):
    more = {"teacher_max_tokens": 12, "teacher_in_flight": 4} | changes
    return Local(Settings(teacher="local", teacher_model=folder, **more))


def rows(count):
    return [make_question(id=f"q{i}", question="Which " + "very " * i + "one?") for i in range(count)]


def texts(teacher, questions, path, prompt=ONE_CALL, **more):
    with Cache(path) as cache:
        return [row["text"] for row in teachers.ask(teacher, prompt, questions, cache, **more)]


def test_an_answer_does_not_depend_on_what_else_is_in_its_batch(folder, tmp_path):
    for temperature in (0.0, 1.0):
        alone, batched = (
            texts(
                local(folder, teacher_in_flight=size),
                rows(5),
                tmp_path / f"{size}{temperature}",
                temperature=temperature,
            )
            for size in (1, 4)
        )
        assert alone == batched and (not temperature or len(set(alone)) > 1)


def test_samples_differ_by_their_seed_and_come_again(folder, tmp_path):
    once, again = (
        texts(local(folder), rows(1), tmp_path / name, samples=6, temperature=1.0) for name in ("one", "other")
    )
    assert once == again and len(set(once)) == 6
    other = texts(local(folder, teacher_seed=1), rows(1), tmp_path / "third", samples=6, temperature=1.0)
    assert not set(other) & set(once)


def test_what_did_not_end_within_the_limit_is_marked_and_costs_nothing(folder, tmp_path):
    with Cache(tmp_path / "c") as cache:
        [row] = teachers.ask(local(folder, teacher_max_tokens=2), ONE_CALL, rows(1), cache)
    assert (row["finish_reason"], row["usd"], row["completion_tokens"]) == ("length", 0.0, 2)


def test_the_draws_follow_the_softmax():
    scores = torch.log(torch.tensor([[0.6, 0.3, 0.1]])).repeat(4000, 1)
    drawn = _Draw(list(range(4000)), 1.0)(torch.zeros(4000, 1), scores).argmax(-1)
    shares = torch.bincount(drawn, minlength=3) / 4000
    assert torch.allclose(shares, torch.tensor([0.6, 0.3, 0.1]), atol=0.03)


def test_a_prompt_without_room_is_dropped_for_it_and_not_cut(tmp_path):
    folder = checkpoint(tmp_path / "m", "causal")
    long = make_question(id="long", question="very " * 400)
    with Cache(tmp_path / "c") as cache:
        completions = list(teachers.ask(local(folder), TWO_CALLS, [*rows(2), long], cache))
    assert [row["finish_reason"] for row in completions][2] == "context_length"


def test_a_chat_template_is_used_where_there_is_one(tmp_path):
    plain, chat = (
        local(checkpoint(tmp_path / name, "causal", template)) for name, template in (("p", ""), ("c", TEMPLATE))
    )
    assert chat._ids("Hi.").tolist() == [2, *plain._ids("Hi.").tolist(), 3]


def test_a_model_that_is_not_there_or_not_in_safetensors_is_named(tmp_path):
    with refused(TeacherError, "teacher_model 'nobody/nothing' cannot be read"):
        local("nobody/nothing")
    folder = checkpoint(tmp_path / "m", "causal")
    model = GPT2LMHeadModel.from_pretrained(folder)
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "m" / "pytorch_model.bin")  # a pickle is not loaded
    with pytest.raises(TeacherError, match="safetensors"):
        local(folder)


@pytest.mark.parametrize("error", [IndexError("index out of range in self"), RuntimeError("out of memory")])
def test_a_model_that_fails_ends_the_run_for_all_that_wait_for_its_batch(tmp_path, monkeypatch, error):
    def fails(*_):
        raise error

    teacher = local(checkpoint(tmp_path / "m", "causal"))
    monkeypatch.setattr(teacher, "_generate", fails)

    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(teacher.complete, f"Which {i}?", sample=0, temperature=0.0) for i in range(3)]
        errors = [answer.exception(timeout=5.0) for answer in answers]
    assert [type(raised) for raised in errors] == [TeacherError] * 3 and str(error) in str(errors[0])


def test_a_decoder_without_room_for_the_longest_answer_is_refused(tmp_path):
    folder = checkpoint(tmp_path / "m", "seq2seq")
    config = BartConfig(
        vocab_size=128, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=64,
    )  # fmt: skip
    BartForConditionalGeneration(config).save_pretrained(folder)
    assert local(folder, teacher_max_tokens=64)
    with pytest.raises(TeacherError, match="teacher_max_tokens: found 65, allowed: at most 64, the positions"):
        local(folder, teacher_max_tokens=65)


def test_a_model_whose_files_lack_weights_is_no_teacher(tmp_path):
    """The library would fill them with random ones."""
    folder = checkpoint(tmp_path / "m", "causal")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    (tmp_path / "m" / "config.json").write_text(json.dumps(config | {"n_layer": 3}))
    with pytest.raises(TeacherError, match=r"weights, such as .*, are not in its files"):
        local(folder)
