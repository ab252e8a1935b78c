"""PyTorch as a competitor.

Modes: `padded` pads every batch to the model's maximum length, `buckets` to its own longest row, `packed` hands PyTorch the
true lengths (PackedSequence). `-bfloat16` adds autocast to bfloat16, PyTorch's own mixed precision. In all of them rows begin at step 0 and the state after the last real token is picked, so that all
compute the same loss.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from batches import Array, Part, TrainingBatches
from model import Plan, plan
from worker import serve

CELLS: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Classifier(nn.Module):
    """The planned model, time-major, which is PyTorch's own order."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        self.embedding = nn.Embedding(plan.vocabulary, plan.embedding)
        widths = [plan.embedding] + [layer.units for layer in plan.layers]
        self.layers = nn.ModuleList(CELLS[layer.cell](width, layer.units) for layer, width in zip(plan.layers, widths))
        self.head = nn.Linear(widths[-1], plan.outputs)
        self.initialize(plan)

    @torch.no_grad()
    def initialize(self, plan: Plan) -> None:
        """As Keras and Carousel start: each gate's input weights together Glorot, recurrent weights orthogonal."""
        nn.init.uniform_(self.embedding.weight, -0.05, 0.05)
        for layer, module in zip(plan.layers, self.layers):
            nn.init.xavier_uniform_(module.weight_ih_l0)
            nn.init.orthogonal_(module.weight_hh_l0)
            nn.init.zeros_(module.bias_ih_l0)
            nn.init.zeros_(module.bias_hh_l0)
            if layer.cell == "lstm":
                module.bias_ih_l0[layer.units:2 * layer.units] = 1
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, lengths: Tensor, packed: bool) -> Tensor:
        """Logits [B, outputs] of tokens [T, B]."""
        value = self.embedding(tokens)
        if packed:
            value = pack_padded_sequence(value, lengths, enforce_sorted=False)
        state: Tensor | tuple[Tensor, Tensor] = value
        for layer in self.layers:
            value, state = layer(value)
        if packed:
            final = (state[0] if isinstance(state, tuple) else state)[0]
        else:
            final = value[lengths - 1, torch.arange(value.shape[1])]
        return self.head(final)


class TorchRival:
    """A PyTorch model in training."""

    modes: tuple[str, ...] = ("padded", "buckets", "packed", "buckets-bfloat16")

    def load(self, data: TrainingBatches, mode: str) -> None:
        self.plan = plan(data.configuration, data.vocabulary, data.classes)
        self.data, self.mode = data, mode
        self.parts = {"train": self.prepare(data.train), "held out": self.prepare(data.held_out)}
        torch.manual_seed(self.plan.seed)
        self.model = Classifier(self.plan)
        self.loss = nn.BCEWithLogitsLoss() if self.plan.outputs == 1 else nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=self.plan.learning_rate, betas=(self.plan.beta1, self.plan.beta2),
                                          eps=self.plan.epsilon, fused=True)

    def prepare(self, part: Part) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [rows, longest], lengths and labels as tensors, once: no competitor reads text in an epoch."""
        tokens = torch.from_numpy(part.padded(self.data.maximum_length, left=False))
        lengths = torch.from_numpy(part.lengths.astype("int64")).clamp(min=1)
        return tokens, lengths, torch.from_numpy(part.labels.astype("int64"))

    def batch(self, part: str, rows: Array) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [T, B], lengths and labels of some rows."""
        tokens, lengths, labels = self.parts[part]
        index = torch.from_numpy(rows.astype("int64"))
        chosen = lengths[index]
        longest = self.data.maximum_length if self.mode == "padded" else int(chosen.max())
        return tokens[index, :longest].t().contiguous(), chosen, labels[index]

    def logits(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mode.endswith("-bfloat16")):
            logits: Tensor = self.model(tokens, lengths, self.mode == "packed").float()
        return logits.squeeze(1) if self.plan.outputs == 1 else logits

    def batch_loss(self, rows: Array) -> Tensor:
        """The mean loss of some rows of the training part."""
        tokens, lengths, labels = self.batch("train", rows)
        loss: Tensor = self.loss(self.logits(tokens, lengths), labels.float() if self.plan.outputs == 1 else labels)
        return loss

    def train(self, batches: list[Array], proceed: Callable[[int], bool]) -> float:
        total, count = 0.0, 0
        for number, rows in enumerate(batches):
            total += self.step(rows) * len(rows)
            count += len(rows)
            if not proceed(number):
                break
        return total / max(1, count)

    def step(self, rows: Array) -> float:
        """Forward, backward and update with one batch."""
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.batch_loss(rows)
        loss.backward()
        if self.plan.global_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.plan.global_norm)
        self.optimizer.step()
        return float(loss.detach())

    @torch.no_grad()
    def correct(self, rows: Array) -> int:
        tokens, lengths, labels = self.batch("held out", rows)
        logits = self.logits(tokens, lengths)
        predicted = (logits > 0).long() if self.plan.outputs == 1 else logits.argmax(1)
        return int((predicted == labels).sum())

    @torch.no_grad()
    def load_weights(self, tensors: dict[str, Array]) -> None:
        def fill(parameter: Tensor, name: str) -> None:
            parameter.copy_(torch.from_numpy(tensors[name].copy()) if name in tensors else torch.zeros_like(parameter))

        fill(self.model.embedding.weight, "embedding.weight")
        for place, layer in enumerate(self.model.layers):
            for name, parameter in layer.named_parameters():
                fill(parameter, f"rnn.{place}.{name}")
        fill(self.model.head.weight, "head.weight")
        fill(self.model.head.bias, "head.bias")

    @torch.no_grad()
    def losses(self, rows: Array) -> float:
        tokens, lengths, labels = self.batch("held out", rows)
        return float(self.loss(self.logits(tokens, lengths), labels.float() if self.plan.outputs == 1 else labels)) * len(rows)

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__, "python": sys.version.split()[0]}


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_flush_denormal(True)
    serve(TorchRival())
