"""A run with a trimmed vocabulary: the model, its teacher and the tokenizer agree."""

from pathlib import Path

import pytest
import yaml
from transformers import BertForSequenceClassification

from cofi_cli import export
from cofi_cli.architectures import load_tokenizer
from cofi_cli.config import RunConfig
from cofi_cli.errors import CofiError
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.runs import RunDir
from cofi_cli.training import finetune, prune
from cofi_cli.training.preflight.bytes import fitting_rank, smallest_folder
from tests.tiny import bert_config, quick_config
from tests.tiny_tokenizers import save


@pytest.fixture
def config(reviews: Path, tmp_path: Path) -> RunConfig:
    """A short run of a model with a tokenizer of 150 pieces."""
    folder = tmp_path / "start"
    size = save(folder, "WordPiece").get_vocab_size()
    pad = load_tokenizer(str(folder)).pad_token_id
    theirs = bert_config(num_labels=2, vocab_size=size, pad_token_id=pad)
    BertForSequenceClassification(theirs).save_pretrained(folder)
    short = {"epochs": 1.0}
    return quick_config(
        folder,
        reviews,
        teacher=short,
        prune={"epochs": 2.0, "dense_epochs": 0.0},
        recover=short,
    ).model_copy(update={"vocab": "auto"})


def test_all_models_of_a_run_have_the_pieces(config: RunConfig, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    report = prune(config, run)
    pieces = report.vocabulary.pieces
    assert pieces < report.vocabulary.before
    for folder in (run.model, run.teacher):
        assert len(load_tokenizer(str(folder))) == pieces
        assert load_model(str(folder)).config.vocab_size == pieces
    assert report.model_name == config.model == yaml.safe_load(run.config.read_text())["model"]
    assert not run.checkpoints.exists()
    own = config.model_copy(update={"model": str(run.model)})
    own = own.model_copy(update={"embedding_rank": 6})
    further = finetune(own, RunDir(tmp_path / "further"))
    assert further.vocabulary.pieces <= pieces
    assert (tmp_path / "further" / "model" / "plan.json").exists()
    factorised = load_model(str(tmp_path / "further" / "model"))
    word = factorised.model.encoder.embeddings.word
    assert word.weight.shape == (further.vocabulary.pieces, 6)


def test_a_factorised_table_is_trained_on_and_resumed(config: RunConfig, tmp_path: Path) -> None:
    config = config.model_copy(update={"vocab": None, "embedding_rank": 6})
    run = RunDir(tmp_path / "run")
    report = prune(config, run)
    small = load_model(str(run.model))
    assert small.config.embedding_rank == 6
    assert small.model.encoder.embeddings.word.widen.weight.shape[1] == 6
    assert report.model.score > 0
    # A folder has no more bytes than the size that its rank was found for.
    tokenizer = load_tokenizer(config.model)
    column = small.config.vocab_size + (small.config.embedding_size or small.config.hidden_size)
    rank = fitting_rank(small, 1_000_000, tokenizer=tokenizer)
    budget = 1_000_000 - (rank - 6) * column
    assert fitting_rank(small, budget, tokenizer=tokenizer) == 6
    assert fitting_rank(small, budget - column, tokenizer=tokenizer) == 5
    folder = tmp_path / "exported"
    export(run.model, output=folder, precision="int8", one_file=True, graph="plain")
    assert sum(file.stat().st_size for file in folder.iterdir()) <= budget
    with pytest.raises(CofiError, match="embedding_rank is 16, and the model's word vectors have"):
        prune(config.model_copy(update={"embedding_rank": 16}), RunDir(tmp_path / "wide"))
    least = smallest_folder(load_tokenizer(config.model))
    size = {"embedding_rank": None, "size": f"{(least + 9_000) / 1e3}kB"}
    sized = config.model_copy(update=size)
    prune(sized, RunDir(tmp_path / "sized"))
    word = load_model(str(tmp_path / "sized" / "model")).model.encoder.embeddings.word
    assert word.weight.shape[1] == 8
    with pytest.raises(
        CofiError, match=r"size is 9kB, and the tokenizer, the weights that stay and a table"
    ):
        prune(sized.model_copy(update={"size": "9kB"}), RunDir(tmp_path / "none"))
    with pytest.raises(CofiError, match="is a dense model, and its architecture has no factorised"):
        finetune(config, RunDir(tmp_path / "dense"))


def test_a_fault_leaves_no_run(config: RunConfig, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    with pytest.raises(CofiError, match="vocab is 5; the tokenizer needs at least"):
        prune(config.model_copy(update={"vocab": 5}), run)
    assert not run.exists
