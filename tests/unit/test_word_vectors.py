"""Word vectors alone: they learn what words decide, and know nothing of order."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cofi_cli.architectures import load_tokenizer
from cofi_cli.config import TaskConfig
from cofi_cli.errors import CofiError
from cofi_cli.tasks import KINDS, Encoded, Ragged, Split, Task, load_task
from cofi_cli.tasks.encoded import IGNORE
from cofi_cli.training.baselines.bag_model import WordVectors
from cofi_cli.training.baselines.word_bags import Marks, make_bags, reads
from cofi_cli.training.baselines.word_vectors import Fit, Fitted, fit
from tests.tiny import BAD, FILLER, GOOD, save_bert, save_questions, save_tagged
from tests.tiny_kinds import save_ranking, save_topics

QUICK = Fit(epochs=6, batch_size=8, learning_rate=0.02)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory):
    return load_tokenizer(str(save_bert(tmp_path_factory.mktemp("words") / "model")))


def table(width: int = 8) -> torch.Tensor:
    return torch.randn(40, width, generator=torch.Generator().manual_seed(0)) * 0.1


def learn(task: Task, tokenizer, settings: Fit = QUICK, seed: int = 1, **more) -> Fitted:
    splits = {name: task.encode(name, tokenizer) for name in task.splits}
    marks = Marks.of(tokenizer)
    return fit(task, splits, marks=marks, table=table(), seed=seed, settings=settings, **more)


def pairs(rows: int, seed: int) -> Split:
    """Pairs that agree (1) when both praise or both blame: no text decides alone."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(rows):
        praises = rng.integers(0, 2, size=2)
        own = [" ".join(rng.choice((BAD, GOOD)[p], size=2)) for p in praises]
        texts.append((f"the {own[0]} film", f"{own[1]} plot"))
        labels.append(int(praises[0] == praises[1]))
    return Split(texts, labels)


def pair_task(kind: str = "classification") -> Task:
    splits = {"train": pairs(300, 0), "validation": pairs(100, 1), "test": pairs(100, 2)}
    if kind == "regression":
        splits = {k: Split(s.texts, [float(x) for x in s.labels or ()]) for k, s in splits.items()}
        return Task("agree", KINDS["regression"], (), ("pearson",), splits, 24)
    return Task("agree", KINDS["classification"], ("no", "yes"), ("accuracy",), splits, 24)


def test_words_that_decide_are_learned(tokenizer, reviews: Path) -> None:
    task = load_task(TaskConfig(name="sst2", data=str(reviews), max_length=24))
    before = table()
    found = learn(task, tokenizer)
    assert found.scores["validation"]["accuracy"] > 95  # the majority class has 50
    assert 1 <= found.epoch <= QUICK.epochs
    assert found.model.table.weight.shape == before.shape
    # A word that no row holds keeps its vector.
    torch.testing.assert_close(found.model.table.weight[39], before[39])
    assert found.parameters == 40 * 8 + (8 * 256 + 256) + (256 * 2 + 2)


def test_one_seed_gives_one_result(tokenizer, reviews: Path) -> None:
    task = load_task(TaskConfig(name="sst2", data=str(reviews), max_length=24))
    one, same, other = (learn(task, tokenizer, Fit(epochs=1), seed=s) for s in (1, 1, 2))
    assert torch.equal(one.model.out.weight, same.model.out.weight)
    assert not torch.equal(one.model.out.weight, other.model.out.weight)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_pair_is_two_means(tokenizer, kind: str) -> None:
    found = learn(pair_task(kind), tokenizer, Fit(epochs=12, batch_size=8, learning_rate=0.02))
    assert min(found.scores["validation"].values()) > 80
    assert set(found.scores) == {"validation", "test"}


def test_order_is_not_seen(tokenizer) -> None:
    """Texts with the same words in another order get the same outputs."""
    texts = [("good film bad plot",), ("bad film good plot",)]
    task = Task(
        "t", KINDS["classification"], ("a", "b"), ("accuracy",), {"train": Split(texts, [0, 1])}, 9
    )
    encoded = task.encode("train", tokenizer)
    bags = make_bags(encoded, Marks.of(tokenizer), reads(task))
    assert sorted(bags.ids[0]) == sorted(bags.ids[1]) and list(bags.ids[0]) != list(bags.ids[1])


def test_tags_are_read_from_a_window(tokenizer, tmp_path: Path) -> None:
    folder = save_tagged(tmp_path / "tags")
    task = load_task(
        TaskConfig(
            train=str(folder / "train.conll"), validation=str(folder / "dev.conll"), max_length=24
        )
    )
    found = learn(task, tokenizer)
    assert found.scores["validation"]["entity_f1"] > 60  # O everywhere has 0


def test_a_window_ends_with_its_row() -> None:
    model = WordVectors(torch.eye(6), what="words", outputs=1)
    seen = {}
    assert model.hidden is not None
    model.hidden.register_forward_hook(lambda module, inputs, out: seen.update(x=inputs[0]))
    model(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 1, 2, 3, 4]), torch.tensor([3, 1])).sum()
    eye, none = torch.eye(6), torch.zeros(6)
    words = seen["x"].view(4, 5, 6)
    torch.testing.assert_close(words[0], torch.stack([none, none, eye[0], eye[1], eye[2]]))
    torch.testing.assert_close(words[2], torch.stack([eye[0], eye[1], eye[2], none, none]))
    torch.testing.assert_close(words[3], torch.stack([none, none, eye[3], none, none]))


def test_several_labels_and_rankings_are_learned(tokenizer, tmp_path: Path) -> None:
    topics, ranked = save_topics(tmp_path / "topics"), save_ranking(tmp_path / "ranking")
    many = load_task(
        TaskConfig(
            train=str(topics / "train.jsonl"), validation=str(topics / "dev.jsonl"), max_length=24
        )
    )
    order = load_task(
        TaskConfig(
            kind="ranking",
            train=str(ranked / "train.csv"),
            validation=str(ranked / "dev.csv"),
            text=("query", "passage"),
            label="relevance",
            max_length=24,
        )
    )
    longer = Fit(epochs=20, batch_size=8, learning_rate=0.02, dropout=0.0)
    assert learn(many, tokenizer, longer).scores["validation"][many.headline] > 80
    assert learn(order, tokenizer, longer).scores["validation"]["ndcg@10"] > 90


def test_an_embedder_s_vectors_are_regressed(tokenizer) -> None:
    """Targets that are means of other word vectors are reached."""
    rng = np.random.default_rng(0)
    texts = [(" ".join(rng.choice(FILLER, size=4)),) for _ in range(200)]
    pair_rows = [(a[0], b[0]) for a, b in zip(texts[:40], texts[40:80], strict=True)]
    theirs = torch.randn(40, 8, generator=torch.Generator().manual_seed(3)).numpy()

    def means(split: Encoded) -> np.ndarray:
        return np.stack([theirs[split.input_ids[row][1:-1]].mean(0) for row in range(len(split))])

    splits = {"train": Split(texts, None), "validation": Split(pair_rows, [0.0] * 40)}
    task = Task("e", KINDS["embedding"], (), ("spearman",), splits, 24)
    held = means(task.encode("validation", tokenizer))
    unit = held / np.linalg.norm(held, axis=1, keepdims=True)
    ratings = (unit[0::2] * unit[1::2]).sum(1).tolist()
    splits["validation"] = Split(pair_rows, ratings)
    task = Task("e", KINDS["embedding"], (), ("spearman",), splits, 24)
    targets = means(task.encode("train", tokenizer))
    settings = Fit(epochs=20, batch_size=8, learning_rate=0.03)
    assert learn(task, tokenizer, settings, targets=targets).scores["validation"]["spearman"] > 90


def test_spans_are_refused(tokenizer, tmp_path: Path) -> None:
    folder = save_questions(tmp_path / "questions", rows=8)
    task = load_task(
        TaskConfig(
            kind="span",
            train=str(folder / "train.json"),
            validation=str(folder / "dev.json"),
            max_length=24,
            doc_stride=4,
        )
    )
    with pytest.raises(CofiError, match="Word vectors alone cannot do task") as error:
        learn(task, tokenizer)
    assert error.value.hint == "They serve classes, numbers, rankings, tags and embeddings."


def encoded(ids: list[int], types: list[int], labels: list[int] | None = None) -> Encoded:
    own = None if labels is None else Ragged([labels], np.int64)
    return Encoded(Ragged([ids]), Ragged([types]), own, np.array([len(ids)]))


def test_the_texts_of_a_pair_are_told_apart() -> None:
    bert = Marks(separator=3, all=frozenset({0, 2, 3}))
    bags = make_bags(encoded([2, 7, 8, 3, 9, 3], [0, 0, 0, 0, 1, 1]), bert, "pair")
    assert [bag.tolist() for bag in bags.ids] == [[7, 8], [9]]
    roberta = Marks(separator=2, all=frozenset({0, 1, 2}))
    bags = make_bags(encoded([0, 7, 8, 2, 2, 9, 2], [0] * 7), roberta, "pair")
    assert [bag.tolist() for bag in bags.ids] == [[7, 8], [9]]


def test_a_word_is_all_its_pieces() -> None:
    """Labels sit on first pieces; what goes on from an earlier window belongs to no word here."""
    marks = Marks(separator=3, all=frozenset({0, 2, 3}))
    labels = [IGNORE, IGNORE, 1, IGNORE, 0, IGNORE]
    bags = make_bags(encoded([2, 6, 7, 8, 9, 3], [0] * 6, labels), marks, "words")
    assert [bag.tolist() for bag in bags.ids] == [[7, 8], [9]]
    assert bags.places.tolist() == [2, 4] and bags.starts.tolist() == [0, 2]
