"""A small transformer, trained from scratch on the CPU, for neural teachers and students. Needs torch.

Pre-norm, learned positions, tied embeddings; the parameters are a plain dictionary of tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from clonewatch.audit.prf import Watermark
from clonewatch.audit.samples import Likely
from evals.audit.ngram import keyed

I64 = npt.NDArray[np.int64]
Batches = Callable[[np.random.Generator], I64]
# Rows written or scored at a time.
_ROWS = 256


class Transformer:
    """A language model over `size` ids. width: of its layers; context: the longest row that it reads."""

    def __init__(
        self, size: int, seed: int, width: int = 96, layers: int = 2, heads: int = 4, context: int = 64
    ) -> None:
        self.size, self.layers, self.heads, self.context = size, layers, heads, context
        draw = torch.Generator().manual_seed(seed)

        def matrix(*shape: int) -> torch.Tensor:
            return (torch.randn(*shape, generator=draw) * 0.02).requires_grad_()

        def flat(n: int, value: float) -> torch.Tensor:
            return torch.full((n,), value).requires_grad_()

        self.weights = {"words": matrix(size, width), "places": matrix(context, width), "scale": flat(width, 1.0)}
        for i in range(layers):
            self.weights |= {
                f"{i}.scale1": flat(width, 1.0),
                f"{i}.read": matrix(3 * width, width),
                f"{i}.mix": matrix(width, width),
                f"{i}.scale2": flat(width, 1.0),
                f"{i}.up": matrix(4 * width, width),
                f"{i}.down": matrix(width, 4 * width),
            }

    def copy(self) -> Transformer:
        """Another model with the same weights, to be trained further."""
        other = Transformer.__new__(Transformer)
        other.__dict__.update(self.__dict__)
        other.weights = {name: w.detach().clone().requires_grad_() for name, w in self.weights.items()}
        return other

    def logits(self, rows: torch.Tensor, past: list[list[torch.Tensor]] | None = None, start: int = 0) -> torch.Tensor:
        """Scores of the next id at every place. rows: int64[n, t]; past: keys and values by layer, extended here."""
        w = self.weights
        h = w["words"][rows] + w["places"][start : start + rows.shape[1]]
        n, t, d = h.shape
        for i in range(self.layers):
            x = F.layer_norm(h, (d,), w[f"{i}.scale1"])
            q, k, v = (x @ w[f"{i}.read"].T).view(n, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
            if past is not None:
                if past[i]:
                    k, v = torch.cat([past[i][0], k], 2), torch.cat([past[i][1], v], 2)
                past[i][:] = [k, v]
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=t > 1)
            h = h + mixed.transpose(1, 2).reshape(n, t, d) @ w[f"{i}.mix"].T
            x = F.layer_norm(h, (d,), w[f"{i}.scale2"])
            h = h + F.gelu(x @ w[f"{i}.up"].T) @ w[f"{i}.down"].T
        return F.layer_norm(h, (d,), w["scale"]) @ w["words"].T

    def train(self, batches: Batches, steps: int, rate: float, seed: int) -> Transformer:
        """Train on what `batches` draws, int64[rows, t + 1] each, by AdamW with a cosine schedule."""
        draw = np.random.default_rng(seed)
        adam = torch.optim.AdamW(list(self.weights.values()), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        for step in range(steps):
            for group in adam.param_groups:
                group["lr"] = rate * min(1, (step + 1) / 20) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
            rows = torch.from_numpy(batches(draw))
            loss = F.cross_entropy(self.logits(rows[:, :-1]).reshape(-1, self.size), rows[:, 1:].reshape(-1))
            adam.zero_grad()
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(list(self.weights.values()), 1.0)
            adam.step()
        return self

    @torch.no_grad()
    def write(self, prompts: I64, length: int, seed: int, marked: Watermark | None = None, delta: float = 2.0) -> I64:
        """Continue prompts by `length` ids, with a watermark or without. int64[n, prompt + length]."""
        draw = torch.Generator().manual_seed(seed)
        done = []
        for at in range(0, len(prompts), _ROWS):
            rows = now = torch.from_numpy(prompts[at : at + _ROWS])
            past: list[list[torch.Tensor]] = [[] for _ in range(self.layers)]
            place = 0
            for _ in range(length):
                scores = self.logits(now, past, place)[:, -1]
                place += now.shape[1]
                if marked is not None:
                    u = torch.from_numpy(keyed(marked.prf, rows[:, -marked.prf.width :].numpy(), self.size))
                    if marked.rule == "kgw":
                        scores = scores + delta * (u < marked.gamma)
                if marked is not None and marked.rule == "gumbel":
                    now = (torch.log(u) / scores.softmax(-1).clamp_min(1e-12)).argmax(-1, keepdim=True)
                else:
                    now = torch.multinomial(scores.softmax(-1), 1, generator=draw)
                rows = torch.cat([rows, now], 1)
            done.append(rows.numpy())
        return np.concatenate(done)

    @torch.no_grad()
    def chances(self, rows: I64) -> torch.Tensor:
        """Log-probability of the next id at every place but the last. float32[n, t - 1, size]."""
        return self.logits(torch.from_numpy(rows[:, :-1])).log_softmax(-1)

    def likely(self, rows: I64, given: int, k: int = 64) -> list[Likely]:
        """The most likely ids at every place from `given` on, one value per row."""
        places = np.arange(given, rows.shape[1])
        found = []
        for at in range(0, len(rows), _ROWS):
            values, ids = self.chances(rows[at : at + _ROWS])[:, given - 1 :].exp().topk(k, -1)
            found += [Likely(places, i, v) for i, v in zip(ids.numpy(), values.numpy().clip(0, 1), strict=True)]
        return found

    def log_likelihood(self, rows: I64, given: int) -> npt.NDArray[np.float64]:
        """Log-probability of what follows the first `given` ids of each row. float64[n]."""
        total = []
        for at in range(0, len(rows), _ROWS):
            part = rows[at : at + _ROWS]
            chosen = self.chances(part).gather(-1, torch.from_numpy(part[:, 1:, None]))[..., 0]
            total.append(chosen[:, given - 1 :].double().sum(1).numpy())
        return np.concatenate(total)


def crops(stream: I64, rows: int = 32, length: int = 49) -> Batches:
    """Random windows of a stream."""
    return lambda draw: stream[draw.integers(0, len(stream) - length, rows)[:, None] + np.arange(length)]


def drawn(rows: I64, count: int = 32) -> Batches:
    """Random rows."""
    return lambda draw: rows[draw.integers(0, len(rows), count)]
