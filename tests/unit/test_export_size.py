"""``cofi export --size``: what is kept exact, what is chosen, and that the folder is no larger."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import BertForSequenceClassification

from cofi_cli import export
from cofi_cli.architectures import load_tokenizer
from cofi_cli.config import ExportConfig
from cofi_cli.errors import PARITY, CofiError
from cofi_cli.exporting.budget import BESIDE, TooLarge, check_size, within
from cofi_cli.exporting.table_size import Table, measured
from cofi_cli.runtime.inspection import inspect
from tests.tiny import bert_config
from tests.tiny_tokenizers import save, texts

TABLE = Table(1000, 100, 100, beside=50_000, tokenizer=20.0, row=1, matrix=1)


def folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of few layers and many wide word vectors, and texts beside it."""
    folder = tmp_path_factory.mktemp("size") / "model"
    size = save(folder, "WordPiece").get_vocab_size()
    pad = load_tokenizer(str(folder)).pad_token_id
    torch.manual_seed(0)
    shape = {"hidden_size": 384, "num_hidden_layers": 1, "intermediate_size": 8}
    config = bert_config(vocab_size=size, pad_token_id=pad, num_labels=2, **shape)
    BertForSequenceClassification(config).save_pretrained(folder)
    lines = "\n".join(texts(200)) + "\n"
    (folder.parent / "texts.txt").write_text(lines, encoding="utf-8")
    return folder


def test_the_first_that_fits_and_then_fewer_pieces(model: Path, tmp_path: Path) -> None:
    asked = ExportConfig(precision="int8", embeddings="int8", graph="plain")
    table, text = measured(str(model), asked), str(model.parent / "texts.txt")
    # What is reckoned is what comes out.
    whole = export(model, output=tmp_path / "int8", size="30MB", precision="int8", graph="plain")
    assert whole.asked.embedding_rank is whole.asked.vocab is None
    assert whole.models["model"].embeddings == "fp32", "nothing made smaller without need"
    kilobytes = int(table.bytes(table.pieces * 0.8) / 1e3)
    options = {"graph": "plain", "size": f"{kilobytes}kB"}
    fewer = export(model, output=tmp_path / "fewer", text=text, **options)
    assert fewer.asked.precision == fewer.models["model"].embeddings == "int8"
    assert fewer.vocabulary.pieces < table.pieces == fewer.vocabulary.before
    assert [file.name for file in (tmp_path / "fewer").glob("*.onnx")] == ["model.onnx"]
    assert kilobytes * 1e3 - 2 * BESIDE < folder_bytes(tmp_path / "fewer") <= kilobytes * 1e3
    # Where no text says which pieces, the vectors get narrower.
    narrow = export(model, output=tmp_path / "narrow", **options)
    assert 8 <= narrow.asked.embedding_rank < 384 and narrow.vocabulary is None
    assert folder_bytes(tmp_path / "narrow") <= kilobytes * 1e3
    assert inspect(tmp_path / "narrow" / "model.onnx").vocab == table.pieces
    with pytest.raises(
        CofiError, match=r"size is 1kB, and the smallest folder .* has about 0\.\d MB"
    ):
        export(model, output=tmp_path / "none", size="1kB", graph="plain")
    assert not (tmp_path / "none").exists()


def test_bytes_by_pieces_and_rank() -> None:
    assert TABLE.bytes(1000) == 50_000 + 1000 * (100 + 4 + 20)
    assert TABLE.bytes(1000, 10) == 50_000 + 10 * 100 + 1000 * (10 + 4 + 20)
    assert (
        TABLE.bytes(TABLE.most_pieces(90_000))
        <= 90_000
        < TABLE.bytes(TABLE.most_pieces(90_000) + 1)
    )
    rank = TABLE.most_columns(90_000, 1000)
    assert TABLE.bytes(1000, rank) <= 90_000 < TABLE.bytes(1000, rank + 1)
    whole = replace(TABLE, row=4)
    assert whole.bytes(10) == 50_000 + 10 * (400 + 20), "rows of four bytes have no scales"


def test_aims_lower_after_a_folder_that_came_out_too_large(tmp_path: Path) -> None:
    file, aims = tmp_path / "model.onnx", []

    def make(aim: int) -> int:
        aims.append(aim)
        file.write_bytes(bytes(aim + 500))  # always more than was reckoned
        check_size(tmp_path, 10_000)
        return aim

    assert within(10_000, make, lambda aim: aim) == aims[1] < 9_500 < aims[0]
    with pytest.raises(TooLarge, match="The folder has") as error:
        within(10_000, lambda _: check_size(tmp_path, 1), lambda aim: aim)
    assert error.value.exit_code == PARITY


def test_words_that_contradict() -> None:
    with pytest.raises(ValueError, match="--size chooses the number of pieces"):
        ExportConfig(size="5MB", vocab="auto")
    for wrong in ("5", "5 MB", "MB", "-5MB"):
        with pytest.raises(ValueError, match="such as 5MB"):
            ExportConfig(size=wrong)
