"""Factorised tables of word vectors: every architecture, every graph form, every opening."""

import copy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import transformers
from onnxruntime import InferenceSession
from torch import nn

from cofi_cli.architectures import load_tokenizer
from cofi_cli.errors import CofiError
from cofi_cli.exporting.checkpoint import load_model
from cofi_cli.exporting.graphs.forms import FORMS, SKIP, unsupported
from cofi_cli.exporting.graphs.tracing import write_onnx
from cofi_cli.exporting.precision.embeddings import to_int8_rows
from cofi_cli.exporting.precision.fp16 import to_fp16
from cofi_cli.exporting.precision.quantization import RECIPES, quantize
from cofi_cli.modeling import CofiForTask
from cofi_cli.modeling.low_rank import LowRankEmbedding
from cofi_cli.runtime.inspection import inspect
from cofi_cli.vocabulary.checkpoint import needed_ids, write_trimmed
from cofi_cli.vocabulary.choice import choose
from cofi_cli.vocabulary.factors import factorise
from cofi_cli.vocabulary.pieces import Pieces
from tests.architectures import TINY, inputs_of, save
from tests.tiny_tokenizers import KINDS, texts
from tests.tiny_tokenizers import save as save_tokenizer

RANK = 5


def factorised(name: str, folder: Path) -> CofiForTask:
    model = load_model(str(save(folder, name, "sequence")))
    factorise(model, RANK, np.arange(30))
    return model


@torch.no_grad()
def with_product(model: CofiForTask) -> CofiForTask:
    """Return the model with one whole table, the product of its factors."""
    whole = copy.deepcopy(model)
    word = model.model.encoder.embeddings.word
    table = (word.widen.weight @ word.weight.T).T
    whole.model.encoder.embeddings.word = nn.Embedding(*table.shape, _weight=table.contiguous())
    return whole


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_every_architecture_answers_as_with_the_product(name: str, tmp_path: Path) -> None:
    model, inputs = factorised(name, tmp_path / "dense"), inputs_of(name)
    assert model.model.encoder.embeddings.word.weight.shape == (40, RANK)
    expected = with_product(model).run(**inputs).logits
    torch.testing.assert_close(model.run(**inputs).logits, expected, atol=1e-5, rtol=1e-5)
    # Saved it opens with transformers' own class.
    model.save_pretrained(tmp_path / "model")
    own = transformers.AutoModelForSequenceClassification
    loaded = own.from_pretrained(tmp_path / "model").eval()
    assert loaded.config.embedding_rank == RANK
    torch.testing.assert_close(loaded(**inputs).logits, model.run(**inputs).logits)


@pytest.mark.parametrize("form", FORMS)
def test_in_every_graph_form_and_precision(form: str, tmp_path: Path) -> None:
    name = "bert"
    model = factorised(name, tmp_path / "dense")
    if unsupported(model, form) is not None:
        pytest.skip("a form that BERT does not have")
    exact, small, half = (tmp_path / f"{kind}.onnx" for kind in ("exact", "small", "half"))
    write_onnx(model, exact, opset=18, form=form)
    inputs = {key: value.numpy() for key, value in inputs_of(name).items()}

    def answer(file: Path) -> np.ndarray:
        session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
        given: np.ndarray = session.run(
            None, {i.name: inputs[i.name] for i in session.get_inputs()}
        )[0]
        return given

    with torch.no_grad():
        expected = model.run(**inputs_of(name)).logits.numpy()
    np.testing.assert_allclose(answer(exact), expected, atol=1e-5)
    assert inspect(exact).vocab == 40
    widest = [t.dims for t in onnx.load(str(exact)).graph.initializer if 40 in t.dims]
    assert [tuple(dims) for dims in widest] == [(40, RANK)], "no whole table is left"
    to_fp16(exact, half)
    np.testing.assert_allclose(answer(half), expected, atol=0.02)
    to_int8_rows(exact, small)
    assert inspect(small).embeddings == "int8"
    np.testing.assert_allclose(answer(small), expected, atol=0.05)
    if form in SKIP:  # for GPUs; onnxruntime quantizes none of their operators
        return
    quantize(exact, small, RECIPES[0], "u8")
    to_int8_rows(small, small)
    np.testing.assert_allclose(answer(small), expected, atol=0.2)


@pytest.mark.parametrize("kind", sorted({*KINDS.values()}))
def test_fewer_pieces_of_a_factorised_table(kind: str, tmp_path: Path) -> None:
    name = next(name for name in KINDS if KINDS[name] == kind)
    size = save_tokenizer(tmp_path / "model", kind).get_vocab_size()
    tokenizer = load_tokenizer(str(tmp_path / "model"))
    model = factorised(name, tmp_path / "dense")
    model.model.encoder.embeddings.word = LowRankEmbedding(size, RANK, 16, 1)
    model.config.vocab_size, model.config.pad_token_id = size, tokenizer.pad_token_id
    model.save_pretrained(tmp_path / "model")
    place = str(tmp_path / "model")
    fewer = (Pieces(tokenizer, needed_ids(place)).smallest + size) // 2
    choice = choose(tokenizer, texts(200), fewer, needed=needed_ids(place))
    write_trimmed(place, tmp_path / "trimmed", choice.trimmed)
    own = load_model(str(tmp_path / "trimmed")).model.encoder.embeddings.word
    old = model.model.encoder.embeddings.word
    assert own.weight.shape == (fewer, RANK)
    assert torch.equal(own.weight, old.weight[choice.trimmed.rows])
    assert torch.equal(own.widen.weight, old.widen.weight)


@torch.no_grad()
def test_no_table_of_the_rank_is_nearer(tmp_path: Path) -> None:
    """Eckart and Young: the squared error is the sum of the squared singular values left out."""
    model = load_model(str(save(tmp_path, "bert", "sequence")))
    table = model.model.encoder.embeddings.word.weight.clone()
    factorise(model, RANK)
    own = with_product(model).model.encoder.embeddings.word.weight
    left_out = torch.linalg.svdvals(table.double())[RANK:].square().sum()
    torch.testing.assert_close((own - table).double().square().sum(), left_out)
    # A piece that texts use without end keeps its vector; again, of a factorised table.
    model = load_model(str(save(tmp_path, "bert", "sequence")))
    factorise(model, 12, np.eye(40)[7] * 1e9)
    factorise(model, RANK, np.eye(40)[7] * 1e9)
    kept = with_product(model).model.encoder.embeddings.word.weight[7]
    torch.testing.assert_close(kept, table[7], atol=1e-4, rtol=1e-4)


def test_a_rank_that_saves_nothing(tmp_path: Path) -> None:
    model = load_model(str(save(tmp_path, "electra", "sequence")))
    with pytest.raises(
        CofiError, match="embedding_rank is 10, and the model's word vectors have 10"
    ):
        factorise(model, 10)
