"""A general encoder: bare texts, kept answers, and the head beside transformers' bare models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from cofi_cli.architectures import ADAPTERS, has_head, load_dense, read_answers, save_dense
from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.modeling import HEADS, CofiForTask
from cofi_cli.pruning.compact import compact
from cofi_cli.pruning.sparsity import EncoderShape
from cofi_cli.tasks import KINDS, Encoded, Ragged, Task, collate, load_task
from cofi_cli.tasks.teacher.agreement import TeacherAnswers, agreement, load_answers, save_answers
from cofi_cli.training.objective import Objective
from cofi_cli.training.processes import open_processes
from cofi_cli.training.teacher.outputs import TeacherOutputs
from tests.architectures import LABELS, TINY, inputs_of, plan_of, save
from tests.tiny import SHAPE, random_masks

KIND = KINDS["encoder"]
CLOSE = {"atol": 1e-5, "rtol": 1e-5}
every = pytest.mark.parametrize("name", TINY)


def load(file: Path, text: str, **options: object) -> Task:
    file.write_text(text, encoding="utf-8")
    return load_task(TaskConfig(kind="encoder", train=str(file), max_length=16, **options))


def test_texts_are_read_once_and_some_are_held_out(tmp_path: Path) -> None:
    lines = "".join(f"the film {number}\n\n" for number in range(40))
    task = load(tmp_path / "texts.txt", lines + "the film 1\n")
    kept, held = (task.splits[name] for name in ("train", "validation"))
    assert (len(kept), len(held)) == (36, 4) and kept.labels is held.labels is None
    assert (task.metrics, task.labels, task.num_labels) == (("agreement",), (), 1)
    assert "mean cosine of the model's token states" in task.note and "held out" in task.note
    (tmp_path / "dev.txt").write_text("a plot\na plot\nits scene\n", encoding="utf-8")
    named = load(tmp_path / "texts.txt", lines, validation=str(tmp_path / "dev.txt"))
    assert [len(named.splits[name]) for name in ("train", "validation")] == [40, 2]


@pytest.mark.parametrize("header", ["sentence1,sentence2,label", "text,other,label"])
def test_a_table_has_texts_or_pairs_and_its_labels_are_left(tmp_path: Path, header: str) -> None:
    rows = f"{header}\n" + "".join(f"a {i},b {i},{i % 2}\n" for i in range(20)) + "a 1,b 1,1\n"
    task = load(tmp_path / "rows.csv", rows)
    texts = [row for name in ("train", "validation") for row in task.splits[name].texts]
    is_pair = header.startswith("sentence1")
    assert sorted(texts) == sorted((f"a {i}", f"b {i}")[: 1 + is_pair] for i in range(20))


def test_a_named_label_would_be_ignored(tmp_path: Path) -> None:
    with pytest.raises(CofiError, match="--label would be ignored: --kind encoder") as caught:
        load(tmp_path / "rows.csv", "text,label\na,0\n", label="label")
    assert "cofi finetune RUN/model" in (caught.value.hint or "")


def test_a_built_in_task_has_a_kind_of_its_own() -> None:
    with pytest.raises(CofiError, match="--kind encoder would be ignored: task demo is of kind"):
        load_task(TaskConfig(kind="encoder", name="demo"))


def test_the_agreement_is_over_real_tokens_as_kept_on_disk(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    theirs = Ragged([rng.normal(size=(n, 8)) for n in (3, 5)], dtype=np.float32)
    ours = Ragged([row + rng.normal(size=row.shape) for row in theirs], dtype=np.float32)
    answers = TeacherAnswers.of(theirs, KIND)
    assert answers.outputs.flat.dtype == np.float16
    save_answers(tmp_path / "a.npz", {"validation": answers}, {"validation": "x"})
    again = load_answers(tmp_path / "a.npz", {"validation": "x"})["validation"]
    cosine = torch.nn.functional.cosine_similarity(*map(torch.tensor, (ours.flat, theirs.flat)))
    found = agreement(KIND, ours, again)["agreement"]
    assert found == pytest.approx(100 * float(cosine.mean()), abs=1e-2)
    assert agreement(KIND, theirs, again)["agreement"] == pytest.approx(100, abs=1e-3)
    ours.flat[0, 0] = np.nan
    with pytest.raises(ValueError, match="not finite in 1 of 8 rows"):
        agreement(KIND, ours, again)


def test_the_loss_is_the_mean_over_tokens() -> None:
    student, teacher = torch.randn(7, 4), torch.randn(7, 4)
    objective = Objective(KIND)
    found = objective.soft(student, teacher, torch.ones(2, 4), temperature=2.0)
    errors = (student - teacher).square().sum(1) / teacher.square().sum(1)
    assert torch.allclose(found, errors.mean()) and objective.soft_over == "tokens"


@torch.no_grad()
def test_kept_answers_take_half_precision(tmp_path: Path) -> None:
    folder = str(save(tmp_path / "a", "bert", "encoder"))
    teacher = load_dense(folder, num_labels=1, head="encoder")
    ids = Ragged(np.arange(5, 5 + length) for length in (3, 9, 4))
    lengths = np.diff(ids.ends)
    rows = Encoded(ids, Ragged(np.zeros(n, dtype=int) for n in lengths), None, lengths)
    place = {"taps": [], "pad_id": 0, "device": torch.device("cpu"), "budget_gb": 1.0}
    outputs = TeacherOutputs(teacher, rows, **place, processes=open_processes("cpu"))
    assert outputs.needed_gb == pytest.approx(16 * SHAPE.hidden * 2 / 1e9)
    outputs.prepare()
    batch = collate(rows, [2, 0], pad_id=0)
    found, expected = outputs.get(batch, [2, 0])[0], outputs._run(batch)[0]
    assert found.shape == (7, SHAPE.hidden) and found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=1e-2)


@every
@torch.no_grad()
def test_the_head_is_transformers_bare_model(name: str, tmp_path: Path) -> None:
    folder = str(save(tmp_path / "a", name, "encoder"))
    own = getattr(transformers, ADAPTERS[TINY[name][0]].heads["encoder"].class_name)
    ours = load_dense(folder, num_labels=1, head="encoder").eval()
    inputs = inputs_of(name)
    real = inputs["attention_mask"].bool()
    expected = own.from_pretrained(folder).eval()(**inputs).last_hidden_state[real]
    torch.testing.assert_close(ours(**inputs).last_hidden_state[real], expected, **CLOSE)
    save_dense(ours, tmp_path / "b", source=folder)
    again = own.from_pretrained(tmp_path / "b").eval()(**inputs).last_hidden_state[real]
    torch.testing.assert_close(again, expected, **CLOSE)
    ours.leave_out_identity()
    assert ours.model.state_map is None
    torch.testing.assert_close(ours.run(**inputs).logits[real], expected, **CLOSE)


def small_encoder(name: str, root: Path) -> CofiForTask:
    """Return a compact encoder with a map that has learned something, saved in ``small``."""
    model = load_dense(str(save(root / "a", name, "encoder")), num_labels=1, head="encoder")
    with torch.no_grad():
        for tensor in model.model.state_map.parameters():
            tensor.add_(torch.randn_like(tensor) * 0.1)
    shape = EncoderShape.of(model.config)
    masks = random_masks(shape, 5, soft=True, closed=0.4)
    small = compact(model, plan_of(masks, shape, soft=True)).eval()
    real = inputs_of(name)["attention_mask"].bool()
    with torch.no_grad():
        masked = model.eval().run(**inputs_of(name), masks=masks, skip_closed=False).logits[real]
        torch.testing.assert_close(small.run(**inputs_of(name)).logits[real], masked, **CLOSE)
    small.leave_out_identity()
    assert small.model.state_map.weight.shape == (shape.hidden, small.config.hidden_size)
    small.save_pretrained(root / "small")
    return small


@every
@pytest.mark.parametrize("head", ["sequence", "token", "span", "choice"])
@torch.no_grad()
def test_any_head_takes_the_place_of_the_map(name: str, head: str, tmp_path: Path) -> None:
    small = small_encoder(name, tmp_path)
    place, labels = str(tmp_path / "small"), LABELS[head]
    assert has_head(place, num_labels=1, head="encoder")
    assert not has_head(place, num_labels=labels, head=head)
    model = load_dense(place, num_labels=labels, head=head).eval()
    expected = load_dense(str(tmp_path / "a"), num_labels=labels, head=head)
    assert model.model.state_map is None and not model.config.wide_states
    for part in ("pooler", "classifier"):
        shapes = [
            {key: len(tensor) for key, tensor in own.state_dict().items() if part in key}
            for own in (model, expected)
        ]
        assert shapes[0] == shapes[1]
    for key in ("pooler_act", "pooling", "pool_tokens", "classifier_dropout"):
        assert getattr(model.config, key) == getattr(expected.config, key)
    theirs = model.model.encoder.state_dict()
    for key, tensor in small.model.encoder.state_dict().items():
        assert torch.equal(theirs[key], tensor), key
    model.save_pretrained(tmp_path / "tuned")
    again = load_dense(str(tmp_path / "tuned"), num_labels=labels, head=head).eval()
    inputs = inputs_of(name)
    if head == "choice":
        inputs = {key: tensor[None] for key, tensor in inputs.items()}
    torch.testing.assert_close(again.run(**inputs).logits, model.run(**inputs).logits)


def test_transformers_puts_a_head_on_as_well(tmp_path: Path) -> None:
    import cofi_cli.auto  # noqa: F401  (registers the model type)

    small_encoder("bert", tmp_path)
    own = transformers.AutoModelForSequenceClassification
    model = own.from_pretrained(tmp_path / "small", num_labels=3).eval()
    assert model(**inputs_of("bert")).logits.shape == (3, 3) and model.model.state_map is None


def test_a_compact_encoder_has_nothing_to_teach_a_task(tmp_path: Path) -> None:
    small_encoder("bert", tmp_path)
    with pytest.raises(CofiError, match="has no task head, so it has nothing to teach"):
        read_answers(str(tmp_path / "small"))


def test_other_compact_models_keep_their_head(tmp_path: Path) -> None:
    small_encoder("bert", tmp_path)
    load_dense(str(tmp_path / "small"), num_labels=2).save_pretrained(tmp_path / "tuned")
    with pytest.raises(CofiError, match="compact model with a sequence head; this task needs a en"):
        load_dense(str(tmp_path / "tuned"), num_labels=1, head="encoder")
    assert not has_head(str(tmp_path / "tuned"), num_labels=1, head="encoder")


def test_the_bare_class_answers_as_the_head(tmp_path: Path) -> None:
    import cofi_cli.auto  # noqa: F401  (registers the model type)

    small = small_encoder("modernbert", tmp_path)
    assert type(small) is HEADS["encoder"]
    opened = transformers.AutoModel.from_pretrained(tmp_path / "small").eval()
    assert opened.pooler is None
    inputs = inputs_of("modernbert")
    with torch.no_grad():
        out = opened(**inputs)
        expected = small(**inputs).last_hidden_state
    assert out.pooler_output is None
    torch.testing.assert_close(out.last_hidden_state, expected)


def test_a_dense_model_is_exported_as_what_the_run_made_it_for(tmp_path: Path) -> None:
    foreign = str(save(tmp_path / "a", "bert", "encoder"))
    with pytest.raises(CofiError, match="has no task head"):
        load_model(foreign)
    own = str(tmp_path / "b")
    save_dense(load_dense(foreign, num_labels=1, head="encoder"), Path(own), source=foreign)
    model = load_model(own)
    assert model.kind == "encoder" and model.model.state_map is None
    tuned = tmp_path / "c"
    transformers.BertForSequenceClassification.from_pretrained(own).save_pretrained(tuned)
    assert load_model(str(tuned)).kind == "sequence"
    save_dense(load_dense(own, num_labels=2), tmp_path / "d", source=own)
    assert "cofi_head" not in (tmp_path / "d" / "config.json").read_text(encoding="utf-8")
