"""The audit on models of 0.1 to 1 billion parameters on one GPU; it has not been run at that size.

    python -m evals.audit.large --teacher DIR --student DIR [--paraphraser DIR] --prompts FILE --out DIR [--share 0.1]

Needs torch and transformers, and folders with causal language models that are already on this machine; nothing is
fetched. prompts: one per line, some thousands; the last fifth is reserved for questions to the student. The student may
have another tokenizer: its answers are encoded as text with the teacher's. The output is one JSON file of test results
per student: `control` (plain answers), `marked` (a share of watermarked ones), `paraphrased` (the same, rewritten).
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from clonewatch.audit import watermark
from clonewatch.audit.outcome import TestResult
from clonewatch.audit.prf import VllmPhilox, Watermark
from clonewatch.audit.samples import Likely, Sample
from evals.audit.ngram import keyed

_ANSWER, _BATCH, _DELTA, _GAMMA, _MOST_LIKELY = 200, 32, 2.0, 0.25, 64
_REWRITE = "Rewrite the following text in your own words.\n\n{}\n\nRewritten:"


class Speaker:
    """A causal language model with its tokenizer, from a folder."""

    def __init__(self, folder: Path) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        dtype = torch.bfloat16 if self.device == "cuda" else torch.float32
        load: dict[str, Any] = {"local_files_only": True}
        self.tokens = transformers.AutoTokenizer.from_pretrained(folder, padding_side="left", **load)
        self.tokens.pad_token = self.tokens.pad_token or self.tokens.eos_token
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **load).to(self.device)

    @torch.no_grad()
    def answer(self, prompts: Sequence[str], prf: VllmPhilox | None = None) -> list[str]:
        """One sampled answer for each prompt, at temperature 1; with a green list where a key is given."""
        answers = []
        for at in range(0, len(prompts), _BATCH):
            asked = self.tokens(list(prompts[at : at + _BATCH]), return_tensors="pt", padding=True).to(self.device)
            processors = transformers.LogitsProcessorList([] if prf is None else [_Green(prf)])
            rows = self.model.generate(
                **asked,
                do_sample=True,
                temperature=1.0,
                top_k=0,
                top_p=1.0,
                max_new_tokens=_ANSWER,
                logits_processor=processors,
                pad_token_id=self.tokens.pad_token_id,
            )
            new = rows[:, asked["input_ids"].shape[1] :]
            answers += self.tokens.batch_decode(new, skip_special_tokens=True)
        return answers

    @torch.no_grad()
    def likely(self, sample: Sample) -> Likely:
        """Its most likely ids at every generated place."""
        rows = torch.from_numpy(sample.tokens)[None].to(self.device)
        places = np.arange(max(sample.given, 1), len(sample.tokens))
        values, ids = self.model(rows).logits[0, places - 1].float().softmax(-1).topk(_MOST_LIKELY)
        return Likely(places, ids.cpu().numpy(), values.cpu().numpy().clip(0, 1))

    def learn(self, pairs: Sequence[tuple[str, str]], rate: float = 2e-5, epochs: int = 2) -> None:
        """Fine-tune all parameters on prompts and answers."""
        adam = torch.optim.AdamW(self.model.parameters(), lr=rate)
        self.model.train()
        draw = np.random.default_rng(0)
        size = max(1, _BATCH // 4)
        for _ in range(epochs):
            order = draw.permutation(len(pairs))
            for at in range(0, len(order), size):
                texts = [pairs[i][0] + pairs[i][1] + self.tokens.eos_token for i in order[at : at + size]]
                rows = self.tokens(texts, return_tensors="pt", padding=True, truncation=True, max_length=1024).to(
                    self.device
                )
                goal = rows["input_ids"].masked_fill(rows["attention_mask"] == 0, -100)
                torch.autograd.backward(self.model(**rows, labels=goal).loss)
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                adam.step()
                adam.zero_grad()
        self.model.eval()


class _Green:
    """Adds the bias of the green list to the scores of the next token."""

    def __init__(self, prf: VllmPhilox) -> None:
        self.prf = prf

    def __call__(self, rows: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        u = keyed(self.prf, rows[:, -self.prf.width :].cpu().numpy(), scores.shape[-1])
        return scores + _DELTA * torch.from_numpy(u < _GAMMA).to(scores.device, scores.dtype)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve answers, train the students, question them, and test."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    for name in ("teacher", "student", "prompts", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--paraphraser", type=Path)
    parser.add_argument("--share", type=float, default=0.1)
    options = parser.parse_args(arguments)
    prompts = options.prompts.read_text(encoding="utf-8").splitlines()
    cut = len(prompts) * 4 // 5
    taught, asked = prompts[:cut], prompts[cut:]
    prf = VllmPhilox(secrets.randbits(64), width=1)

    teacher = Speaker(options.teacher)
    plain, marked = teacher.answer(taught), teacher.answer(taught, prf)
    own = [Sample(np.array(teacher.tokens.encode(text, add_special_tokens=False), np.int64)) for text in marked]
    watermark.confirm(own, Watermark(prf, "kgw", _GAMMA))
    count = round(options.share * cut)
    sets = {"control": plain, "marked": marked[:count] + plain[count:]}
    if options.paraphraser:
        writer = Speaker(options.paraphraser)
        sets["paraphrased"] = writer.answer([_REWRITE.format(text) for text in sets["marked"]])
        del writer
    options.out.mkdir(parents=True, exist_ok=True)
    for name, answers in sets.items():
        student = Speaker(options.student)
        student.learn(list(zip(taught, answers, strict=True)))
        results = examine(teacher, student.answer(asked), asked, prf)
        kept = {test: result.to_json() for test, result in results.items()}
        (options.out / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        print(name, {test: result.told_p() for test, result in results.items()}, flush=True)
    return 0


def examine(teacher: Speaker, answers: Sequence[str], asked: Sequence[str], prf: VllmPhilox) -> dict[str, TestResult]:
    """Test answers as text, in the teacher's tokenizer, with and without the teacher as reference."""
    samples = []
    for prompt, answer in zip(asked, answers, strict=True):
        before = teacher.tokens.encode(prompt, add_special_tokens=False)
        after = teacher.tokens.encode(answer, add_special_tokens=False)
        if after:
            samples.append(Sample(np.array(before + after, np.int64), len(before)))
    reference = [teacher.likely(sample) for sample in samples]
    keyed = Watermark(prf, "kgw", _GAMMA)
    return {
        "plain": watermark.test_watermark(samples, keyed, exclude_context=False),
        "text": watermark.test_watermark(samples, keyed, reference=reference, exclude_context=False),
    }


if __name__ == "__main__":
    sys.exit(main())
