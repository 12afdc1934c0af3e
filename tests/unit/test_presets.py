"""Presets: all valid and documented; layers in their order; every problem told at once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from cofi_cli.config import RunConfig
from cofi_cli.config_errors import config_keys
from cofi_cli.errors import UNREACHABLE, USAGE, CofiError
from cofi_cli.presets import (
    Layer,
    choose_preset,
    file_layer,
    merge,
    nested,
    parse_override,
    preset_layer,
    preset_names,
    preset_summary,
    preset_text,
    resolve_config,
)
from cofi_cli.tasks import task_names
from cofi_cli.tasks.builtin.glue import GLUE
from cofi_cli.tasks.builtin.tokens import TOKEN_TASKS

MODEL = Layer({"model": "m"}, "MODEL")
NAMES = [
    *("cofi-paper", "demo", "embedding", "glue-large", "glue-small", "quick", "squad", "tokens"),
]


def test_these_presets_exist() -> None:
    assert preset_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_valid_and_teaches(name: str) -> None:
    config = resolve_config([MODEL, preset_layer(name)])
    assert isinstance(config, RunConfig)
    text = preset_text(name)
    assert re.search(r"^#   cofi prune ", text, re.MULTILINE), "the command that runs it"
    assert len(preset_summary(name)) > 20, "what it is for"
    assert text.count("#") > 8, "what its knobs do"
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_leaves_room_for_its_gates_to_close(name: str) -> None:
    prune = resolve_config([MODEL, preset_layer(name)]).prune
    assert prune.dense_epochs + prune.ramp_epochs < prune.epochs


def test_the_paper_preset_has_no_correction_of_ours() -> None:
    config = resolve_config([MODEL, preset_layer("cofi-paper")])
    assert (config.prune.constraint, config.prune.eval_gates) == ("lagrangian", "soft")
    assert (config.prune.best, config.prune.gate_init) == ("reference", "reference")
    assert config.prune.gate_floor == -4.605
    assert config.prune.gate_learning_rate == config.prune.multiplier_learning_rate == 0.01
    assert config.prune.learning_rate == 2e-5 and not config.distill.mask_padding
    assert config.recover.tolerance == 0


@pytest.mark.parametrize("section", ["teacher", "prune", "distill", "recover", "train"])
def test_glue_large_names_every_setting_with_its_default(section: str) -> None:
    values = preset_layer("glue-large").values
    default = getattr(RunConfig(model="m"), section)
    assert list(values[section]) and set(values[section]) == set(type(default).model_fields)
    assert getattr(resolve_config([MODEL, preset_layer("glue-large")]), section) == default
    lines = preset_text("glue-large").partition(f"\n{section}:")[2].partition("\n\n")[0]
    assert lines.count("#") >= len(values[section]) / 2


def test_glue_large_is_the_default() -> None:
    assert resolve_config([MODEL, preset_layer("glue-large")]) == resolve_config([MODEL])


def test_the_paper_s_schedule() -> None:
    config = resolve_config([MODEL, preset_layer("cofi-paper")])
    prune, recover = config.prune, config.recover
    assert (prune.epochs, prune.ramp_epochs, prune.dense_epochs) == (20, 2, 1)
    assert prune.ramp == "linear"
    assert (prune.rate_growth, config.distill.dropout) == (0, None)
    assert (recover.epochs, recover.learning_rate, recover.schedule) == (20, 2e-5, "constant")
    assert recover.patience == 0


@pytest.mark.parametrize("name", sorted({*NAMES} - {"cofi-paper", "embedding"}))
def test_the_ramp_is_over_by_two_fifths(name: str) -> None:
    prune = resolve_config([MODEL, preset_layer(name)]).prune
    assert prune.dense_epochs + prune.ramp_epochs <= 0.45 * prune.epochs
    assert prune.learning_rate is None, "by the encoder's width"


def test_squad_s_windows_and_batches_are_the_paper_s() -> None:
    config = resolve_config([MODEL, preset_layer("squad")])
    assert (config.task.max_length, config.task.doc_stride) == (384, 128)
    assert {config.teacher.batch_size, config.prune.batch_size, config.recover.batch_size} == {16}


def test_each_built_in_task_has_a_preset() -> None:
    assert {choose_preset(task) for task in task_names()} <= set(preset_names())
    large = {task for task in GLUE if choose_preset(task) == "glue-large"}
    assert large == {"sst2", "mnli", "qqp", "qnli"}
    assert {choose_preset(task) for task in GLUE if task not in large} == {"glue-small"}
    assert choose_preset("demo") == "demo"
    assert choose_preset("squad") == choose_preset("squad_v2") == "squad"


def test_tagged_words_have_a_preset(tmp_path: Path) -> None:
    assert {choose_preset(task) for task in TOKEN_TASKS} == {"tokens"}
    for name, kind in (("train.conll", None), ("train.tsv", "tokens"), ("train.IOB2", None)):
        file = tmp_path / name
        file.write_text("Ada B-person\n" * 11_000, encoding="utf-8")
        assert choose_preset(None, train=file, kind=kind) == "tokens"
    assert choose_preset(None, train=file, kind="classification") == "glue-large"


def test_own_files_are_sorted_by_their_rows(tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    file.write_text("text,label\n" + "a,b\n" * 9_000, encoding="utf-8")
    assert choose_preset(None, train=file) == "glue-small"
    file.write_text("text,label\n" + "a,b\n" * 11_000, encoding="utf-8")
    assert choose_preset(None, train=file) == "glue-large"
    assert choose_preset(None, train=file, kind="span") == "squad"
    assert choose_preset(None, train=file, kind="embedding") == "embedding"
    assert choose_preset("stsb-embedding") == "embedding"
    assert choose_preset(None, train=file, kind="regression") == "glue-large"
    assert choose_preset(None) is None
    assert choose_preset(None, train=tmp_path / "absent.csv") is None


def test_rows_of_a_parquet_file_are_counted(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = tmp_path / "train.parquet"
    for rows, preset in ((9_000, "glue-small"), (11_000, "glue-large")):
        pq.write_table(pa.table({"text": ["a"] * rows}), file)
        assert choose_preset(None, train=file) == preset
    file.write_bytes(b"PAR1 or not")
    assert choose_preset(None, train=file) == "glue-large"


def test_the_last_layer_wins_key_by_key(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("prune: {epochs: 7, batch_size: 4}\nseed: 1\n", encoding="utf-8")
    layers = [
        MODEL,
        preset_layer("quick"),
        file_layer(file),
        parse_override("prune.epochs=9"),
        Layer(nested("prune.sparsity", 0.5), "--sparsity"),
    ]
    config = resolve_config(layers)
    assert (config.prune.epochs, config.prune.batch_size, config.seed) == (9, 4, 1)
    assert config.prune.sparsity == 0.5
    assert config.task.max_length == 64, "from the preset"
    assert config.distill.temperature == 2.0, "the default"


def test_merging_leaves_its_arguments_alone() -> None:
    base = {"a": {"b": 1}}
    assert merge(base, {"a": {"c": 2}}) == {"a": {"b": 1, "c": 2}}
    assert base == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("prune.epochs=7.5", 7.5),
        ("prune.learning_rate=2e-5", 2e-5),
        ("distill.mask_padding=false", False),
        ("prune.gates=[head, ffn_dim]", ("head", "ffn_dim")),
        ("train.threads=null", None),
    ],
)
def test_values_of_set_are_yaml(text: str, value: object) -> None:
    config = resolve_config([MODEL, parse_override(text)])
    section, key = text.split("=")[0].split(".")
    assert getattr(getattr(config, section), key) == value


@pytest.mark.parametrize("mark", [*",;|:/+&#-.*!?%@`", "||", "--", "---", "...", " ; "])
def test_punctuation_alone_is_text(mark: str) -> None:
    assert parse_override(f"task.separator={mark}").values == {"task": {"separator": mark.strip()}}


@pytest.mark.parametrize(
    ("value", "parsed"),
    [("", None), ("~", None), ("[]", []), ("','", ","), ("-1", -1), (".5", 0.5)],
)
def test_other_values_stay_yaml(value: str, parsed: object) -> None:
    assert parse_override(f"task.label={value}").values == {"task": {"label": parsed}}


@pytest.mark.parametrize("text", ["prune.epochs", "=3", ".=3", "prune..epochs=3"])
def test_a_set_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(CofiError, match="--set takes KEY=VALUE") as caught:
        parse_override(text)
    assert "--set prune.sparsity=0.9" in str(caught.value.hint)


def test_every_problem_is_told_at_once_with_its_origin() -> None:
    layers = [
        MODEL,
        Layer({"prune": {"sparsity": 1.5}}, "--sparsity"),
        parse_override("prune.sparsty=0.9"),
        parse_override("train.precision=fp23"),
        parse_override("recover.batch_size=0"),
    ]
    with pytest.raises(CofiError) as caught:
        resolve_config(layers)
    message = caught.value.message
    assert caught.value.exit_code == USAGE
    assert message.startswith("4 problems in the configuration:")
    assert "prune.sparsity is 1.5 (--sparsity); it should be less than 1" in message
    assert "Unknown key 'prune.sparsty'. Did you mean 'prune.sparsity'?" in message
    assert "train.precision is 'fp23'" in message and "Did you mean 'fp32'?" in message
    assert "it should be 'auto', 'fp32' or 'bf16'" in message
    assert "recover.batch_size is 0" in message and "greater than or equal to 1" in message


def test_a_section_given_a_value_lists_its_keys() -> None:
    with pytest.raises(CofiError, match="it should be a section with the keys sparsity, speedup"):
        resolve_config([MODEL, parse_override("prune=3")])


def test_an_unknown_preset_is_guessed() -> None:
    with pytest.raises(CofiError, match=r"Unknown preset 'glue-lrge'\. Did you mean 'glue-large'"):
        preset_text("glue-lrge")


@pytest.mark.parametrize(
    ("content", "message", "code"),
    [
        (None, "Cannot read", UNREACHABLE),
        (b"a: [1", "is not YAML", USAGE),
        (b"- 1\n", "holds list", USAGE),
        (b"a: \xff\n", "is not UTF-8", USAGE),
    ],
)
def test_a_bad_config_file(tmp_path: Path, content: bytes | None, message: str, code: int) -> None:
    path = tmp_path / "own.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CofiError, match=message) as caught:
        file_layer(path)
    assert caught.value.exit_code == code
    assert "own.yaml" in caught.value.message


def test_presets_name_only_known_keys() -> None:
    known = set(config_keys())
    for name in NAMES:
        for section, values in yaml.safe_load(preset_text(name)).items():
            keys = [f"{section}.{k}" for k in values] if isinstance(values, dict) else [section]
            assert set(keys) <= known
