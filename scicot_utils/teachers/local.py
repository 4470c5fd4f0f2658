"""A teacher on this machine: a `transformers` causal or encoder–decoder model, asked in batches.

Its chat template is used if it has one. The noise of sampling comes from a generator seeded by prompt and sample, so an
answer does not depend on the other prompts in its batch.
"""

import hashlib
import threading
import time
from concurrent.futures import Future

import torch
from transformers import LogitsProcessor, LogitsProcessorList

from scicot_utils import hub, paths
from scicot_utils.recipe import Settings
from scicot_utils.serving.cache import Response
from scicot_utils.serving.protocol import PermanentError, Teacher, TeacherError, now
from scicot_utils.serving.replies import clean, one_line, split_thinking

GATHER_SECONDS = 0.01  # how long a batch that is not full waits for more


class Local(Teacher):
    """A transformers model on this machine.

    `identity` holds the model's name only. Another model in the same folder would pass for the same teacher, so give it
    another name.
    """

    def __init__(self, settings: Settings):
        try:
            path = hub.folder(paths.source(settings.teacher_model))
            model = hub.model(path)
            self._tokenizer = hub.tokenizer(path, padding_side="left")
        except (OSError, ValueError) as error:
            raise TeacherError(
                f"teacher_model '{settings.teacher_model}' cannot be read as a transformers model ({one_line(error)}); "
                "allowed: a name of the hub, or a folder with config, tokenizer and safetensors, or a GGUF file"
            ) from None
        config = model.config
        self._model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._seq2seq, self._settings = config.is_encoder_decoder, settings
        positions = getattr(config, "max_position_embeddings", None)
        decoder = getattr(config, "max_decoder_position_embeddings", None) or positions
        if self._seq2seq and decoder and settings.teacher_max_tokens > decoder:
            raise TeacherError(
                f"teacher_max_tokens: found {settings.teacher_max_tokens}, allowed: at most {decoder}, the positions of "
                f"the decoder of '{settings.teacher_model}'"
            )
        self._room = positions or getattr(config, "n_positions", None)
        self.name, self.in_flight = settings.teacher_model, settings.teacher_in_flight
        self.identity = {
            "teacher": "local",
            "model": settings.teacher_model,
            "max_tokens": settings.teacher_max_tokens,
            "seed": settings.teacher_seed,
        }
        self._waiting: list[tuple[torch.Tensor, int, float, Future[Response]]] = []
        self._gathering, self._answering = threading.Lock(), threading.Lock()

    def complete(self, prompt: str, *, sample: int, temperature: float) -> Response:
        """Answer in a batch. Raises PermanentError for a prompt too long, TeacherError if the batch fails."""
        ids = self._ids(prompt)
        length = len(ids) + (0 if self._seq2seq else self._settings.teacher_max_tokens)
        if self._room and length > self._room:
            raise PermanentError("context_length", f"{length} tokens, and the model has room for {self._room}")
        noise = hashlib.sha256(f"{self._settings.teacher_seed}/{sample}/{prompt}".encode())
        answer: Future[Response] = Future()
        with self._gathering:
            self._waiting.append((ids, int.from_bytes(noise.digest()[:7]), temperature, answer))
        if len(self._waiting) < self.in_flight:
            time.sleep(GATHER_SECONDS)
        with self._answering:  # one thread answers all that wait
            if not answer.done():
                self._answer_all()
        return answer.result()

    def _ids(self, prompt: str) -> torch.Tensor:
        chat = bool(self._tokenizer.chat_template)
        if chat:
            messages = [{"role": "user", "content": prompt}]
            prompt = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return self._tokenizer(prompt, add_special_tokens=not chat, return_tensors="pt")["input_ids"][0]

    def _answer_all(self) -> None:
        """Answer all waiting prompts, in one batch for each temperature."""
        with self._gathering:
            waiting, self._waiting = self._waiting, []
        for temperature in {temperature for _, _, temperature, _ in waiting}:
            batch = [(ids, seed, answer) for ids, seed, own, answer in waiting if own == temperature]
            try:
                responses = self._generate([(ids, seed) for ids, seed, _ in batch], temperature)
            except Exception as error:  # any kind, since other threads wait for this batch
                # A RuntimeError usually means: out of memory.
                hint = "; a smaller teacher_in_flight may help" if isinstance(error, RuntimeError) else ""
                failure = TeacherError(f"teacher '{self.name}': {one_line(repr(error))}{hint}")
                for *_, answer in batch:
                    answer.set_exception(failure)
                continue
            for (*_, answer), response in zip(batch, responses, strict=True):
                answer.set_result(response)

    def _generate(self, batch: list[tuple[torch.Tensor, int]], temperature: float) -> list[Response]:
        inputs = self._tokenizer.pad({"input_ids": [ids for ids, _ in batch]}, return_tensors="pt")["input_ids"]
        mask = torch.zeros_like(inputs)  # by length, since the padding token may occur in the text, too
        for row, (ids, _) in enumerate(batch):
            mask[row, -len(ids) :] = 1
        processors = [_Draw([seed for _, seed in batch], temperature)] if temperature else []
        with torch.inference_mode():
            output = self._model.generate(
                input_ids=inputs.to(self._model.device),
                attention_mask=mask.to(self._model.device),
                max_new_tokens=self._settings.teacher_max_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self._tokenizer.pad_token_id,
                logits_processor=LogitsProcessorList(processors),
            ).cpu()
        completions = output[:, 1 if self._seq2seq else inputs.shape[1] :]
        ends = self._model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends])
        return [self._response(ids, row.tolist(), ends) for (ids, _), row in zip(batch, completions, strict=True)]

    def _response(self, ids: torch.Tensor, completion: list[int], ends: set[int | None]) -> Response:
        end = next((index for index, token in enumerate(completion) if token in ends), None)
        text = self._tokenizer.decode(completion[:end], skip_special_tokens=True)
        thinking, text = split_thinking(clean(text).strip())
        count = len(completion) if end is None else end + 1
        return Response(text, "length" if end is None else "stop", len(ids), count, 0.0, now(), thinking)


class _Draw(LogitsProcessor):
    """Sampling as a greedy choice: the largest of logits / T + Gumbel noise is a draw from softmax(logits / T)."""

    def __init__(self, seeds: list[int], temperature: float):
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._temperature = temperature

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        noise = torch.stack([torch.rand(scores.shape[-1], generator=generator) for generator in self._generators])
        gumbel = -torch.log(-torch.log(noise.clamp(1e-20, 1 - 1e-7)))
        return scores / self._temperature + gumbel.to(scores.device, scores.dtype)
