"""``forward(labels=...)`` gives BERT's losses, and those that training uses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    BertForQuestionAnswering,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

from cofi_cli.architectures import load_dense
from cofi_cli.tasks import KINDS
from cofi_cli.training.objective import Objective
from tests.tiny import batch, bert_config

INPUTS = batch()
MASK = INPUTS["attention_mask"]
NUMBERS = torch.tensor([[0.3, 1.7, -0.4], [2.0, 0.1, 0.9], [0.0, -1.0, 0.5]])
SEQUENCE_CASES = {
    "classes": (3, "single_label_classification", torch.tensor([2, 0, 1])),
    "classes, told by their type": (3, None, torch.tensor([2, 0, 1])),
    "several labels": (3, "multi_label_classification", (NUMBERS > 0).float()),
    "several labels, told by their type": (3, None, (NUMBERS > 0).float()),
    "a number": (1, "regression", NUMBERS[:, 0]),
    "a number, told by the output": (1, None, NUMBERS[:, 0]),
    "numbers": (3, "regression", NUMBERS),
}


def bert_and_ours(bert: type, folder: Path, head: str, **config: object) -> tuple:
    torch.manual_seed(0)
    theirs = bert(bert_config(**config)).eval()
    theirs.save_pretrained(folder)
    ours = load_dense(
        str(folder),
        num_labels=theirs.config.num_labels,
        head=head,
        problem_type=config.get("problem_type"),
    )
    return theirs, ours.eval()


@pytest.mark.parametrize("case", SEQUENCE_CASES)
@torch.no_grad()
def test_a_pooled_head_has_the_loss_of_bert(case: str, tmp_path: Path) -> None:
    outputs, problem_type, labels = SEQUENCE_CASES[case]
    own = {"num_labels": outputs, "problem_type": problem_type}
    theirs, ours = bert_and_ours(BertForSequenceClassification, tmp_path, "sequence", **own)
    expected = theirs(**INPUTS, labels=labels).loss
    torch.testing.assert_close(ours(**INPUTS, labels=labels).loss, expected)


def row(number: int) -> dict[str, Tensor]:
    """Return one row of the batch without its padding."""
    length = int(MASK[number].sum())
    return {k: v[number : number + 1, :length] for k, v in INPUTS.items()}


@torch.no_grad()
def test_padding_is_no_answer(tmp_path: Path) -> None:
    theirs, ours = bert_and_ours(BertForQuestionAnswering, tmp_path, "span")
    starts, ends = torch.tensor([2, 3, 0]), torch.tensor([5, 4, 0])
    alone = [
        theirs(**row(i), start_positions=starts[i : i + 1], end_positions=ends[i : i + 1]).loss
        for i in range(3)
    ]
    found = ours(**INPUTS, start_positions=starts, end_positions=ends)
    torch.testing.assert_close(found.loss, torch.stack(alone).mean())
    labels = torch.stack([starts, ends], dim=-1)
    logits = torch.stack([found.start_logits, found.end_logits], dim=-1)
    trained = Objective(KINDS["span"]).hard(logits, {"labels": labels, "attention_mask": MASK})
    torch.testing.assert_close(found.loss, trained)


@torch.no_grad()
def test_an_answer_beyond_the_row_is_left_out(tmp_path: Path) -> None:
    theirs, ours = bert_and_ours(BertForQuestionAnswering, tmp_path, "span")
    inputs = {k: v[:1].repeat(2, 1) for k, v in INPUTS.items()}
    far = {"start_positions": torch.tensor([2, 99]), "end_positions": torch.tensor([5, 99])}
    torch.testing.assert_close(ours(**inputs, **far).loss, theirs(**inputs, **far).loss)


@torch.no_grad()
def test_tokens_without_any_label_lose_nothing(bert_folder: Path) -> None:
    model = load_dense(str(bert_folder), num_labels=5, head="token").eval()
    nothing = torch.full_like(INPUTS["input_ids"], -100)
    assert model(**INPUTS, labels=nothing).loss.item() == 0
    labels = nothing.clone()
    labels[0, 1:4], labels[2, 2] = torch.tensor([4, 0, 2]), 3
    found = model(**INPUTS, labels=labels)
    expected = torch.nn.functional.cross_entropy(found.logits.flatten(0, 1), labels.flatten())
    torch.testing.assert_close(found.loss, expected)


def test_a_trainer_may_accumulate(bert_folder: Path, tmp_path: Path) -> None:
    """Two half batches make the step of a whole one."""
    rows = [
        {k: v[i] for k, v in INPUTS.items()} | {"labels": torch.tensor(i % 2)} for i in (0, 1, 2, 1)
    ]

    def trained(size: int) -> Tensor:
        model = load_dense(str(bert_folder), num_labels=2)
        model.dropout = 0.0
        for module in model.modules():
            for name in ("dropout", "attention_dropout"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
        arguments = TrainingArguments(
            output_dir=str(tmp_path),
            per_device_train_batch_size=size,
            gradient_accumulation_steps=4 // size,
            max_steps=1,
            learning_rate=0.1,
            optim="sgd",
            max_grad_norm=1e9,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        )
        Trainer(model=model, args=arguments, train_dataset=rows).train()
        weight: Tensor = model.classifier.weight.detach()
        return weight

    torch.testing.assert_close(trained(2), trained(4))
