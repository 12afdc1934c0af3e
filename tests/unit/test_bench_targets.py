from pathlib import Path

import numpy as np
import pytest

from cofi_cli import export
from cofi_cli.benchmarking.rows import content_of
from cofi_cli.benchmarking.targets import resolve_targets, unique_names
from cofi_cli.config import ExportConfig
from cofi_cli.errors import UNREACHABLE, CofiError
from cofi_cli.runs import RunDir, write_json
from cofi_cli.runs.digests import file_digest, weights_digest
from cofi_cli.runs.export_folder import foreign_files
from cofi_cli.runs.find import find_source, run_of
from cofi_cli.runtime.providers import provider_name, require_provider
from cofi_cli.runtime.timing import Schedule, cross
from tests.records import export_record, exported_file
from tests.tiny_onnx import save_onnx

helper = pytest.importorskip("onnx").helper
TensorProto = pytest.importorskip("onnx").TensorProto


def tiny_onnx(path, *, vocab=7, dtype=TensorProto.FLOAT):
    """A table that input_ids look up: enough to be inspected."""
    import onnx

    table = helper.make_tensor("table", dtype, [vocab, 2], [0.0] * 2 * vocab)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["input_ids"], ["ids"], to=TensorProto.INT32),
            helper.make_node("Gather", ["table", "ids"], ["logits"]),
        ],
        "g",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["b", "l"])],
        [helper.make_tensor_value_info("logits", dtype, ["b", "l", 2])],
        [table],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), str(path))
    return path


def resolve(targets, baseline=None):
    exported = []
    found = resolve_targets(
        targets, baseline=baseline, exporter=lambda source, _: exported.append(source)
    )
    return [m.name for m in found.models], found.baseline, found


def test_a_file_alone_has_no_baseline(tmp_path):
    names, baseline, found = resolve([tiny_onnx(tmp_path / "a.onnx")])
    assert (names, baseline, found.runs) == (["a"], None, ())
    graph = found.models[0].graph
    assert (graph.vocab, graph.precision, graph.opset) == (7, "fp32", 18)
    assert graph.nodes == {"Cast": 1, "Gather": 1}


def test_half_precision_is_seen(tmp_path):
    _, _, found = resolve([tiny_onnx(tmp_path / "a.onnx", dtype=TensorProto.FLOAT16)])
    assert found.models[0].graph.precision == "fp16"


def test_the_first_of_several_is_the_baseline(tmp_path):
    paths = [tiny_onnx(tmp_path / f"{name}.onnx") for name in "ab"]
    assert resolve(paths)[:2] == (["a", "b"], "a")


def test_a_named_baseline_comes_first_and_once(tmp_path):
    a, b = (tiny_onnx(tmp_path / f"{name}.onnx") for name in "ab")
    assert resolve([a, b], baseline=b)[:2] == (["b", "a"], "b")


def test_a_folder_stands_for_its_model(tmp_path):
    tiny_onnx(tmp_path / "x" / "model.onnx")
    assert resolve([tmp_path / "x"])[0] == ["model"]


def test_a_file_counts_once_however_its_folder_is_named(tmp_path, monkeypatch):
    a, b = (tiny_onnx(tmp_path / f"{name}.onnx") for name in "ab")
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert resolve([a, Path("a.onnx")])[:2] == (["a"], None)
    assert resolve([a, Path("link/b.onnx"), b])[:2] == (["a", "b"], "a")
    tiny_onnx(tmp_path / "x" / "model.onnx")
    record_file(tmp_path / "x", form="lean")
    for paths in ([Path("x"), Path("x/model.onnx")], [Path("x/model.onnx"), Path("x")]):
        (model,) = resolve(paths)[2].models
        assert (model.form, model.family) == ("lean", tmp_path / "x")


def test_weights_beside_a_file_are_a_part_of_it(tmp_path):
    """Of initializers, of a constant, and of one in a branch."""
    import onnx

    def constant(name):
        value = onnx.numpy_helper.from_array(np.ones(300, dtype=np.float32), name)
        return helper.make_node("Constant", [], [f"{name}_out"], value=value)

    value = helper.make_tensor_value_info("body_out", TensorProto.FLOAT, [300])
    body = helper.make_graph([constant("body")], "body", [], [value])
    path = save_onnx(tmp_path / "a.onnx")
    alone = resolve([path])[2].models[0]
    assert alone.files == [path] and content_of(alone).sha256 == file_digest(path)
    model = onnx.load(str(path))
    is_so = onnx.numpy_helper.from_array(np.asarray(True), "is_so")
    model.graph.initializer.append(is_so)
    branch = helper.make_node("If", ["is_so"], ["if"], then_branch=body, else_branch=body)
    model.graph.node.extend([constant("const"), branch])
    onnx.save(
        model,
        str(path),
        save_as_external_data=True,
        all_tensors_to_one_file=False,
        size_threshold=500,
        convert_attribute=True,
    )
    found = resolve([path])[2].models[0]
    beside = {file.name for file in tmp_path.iterdir()} - {"a.onnx"}
    assert set(found.graph.external) == beside == {"table", "square", "const", "body"}
    before = content_of(found)
    assert before.bytes == sum(file.stat().st_size for file in tmp_path.iterdir())
    for name in beside:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(bytes(len(content)))
        assert content_of(found).sha256 != before.sha256
        (tmp_path / name).write_bytes(content)
    assert content_of(found) == before


def record_file(folder, **changes):
    """Write an export.json that names model.onnx, as it is unless told otherwise."""
    known = {"sha256": file_digest(folder / "model.onnx")} | changes
    export_record(exported_file(**known)).write(folder / "export.json")


def exported(folder, **changes):
    tiny_onnx(folder / "model.onnx")
    record_file(folder, **changes)
    return resolve([folder])[2]


def test_a_replaced_file_is_told_and_not_called_what_the_other_one_was(tmp_path, caplog):
    found = exported(tmp_path, precision="int8", form="lean")
    assert (found.models[0].precision, found.models[0].form) == ("int8", "lean")
    assert not caplog.text
    found = exported(tmp_path, precision="int8", form="lean", sha256="of another file")
    assert (found.models[0].precision, found.models[0].form) == ("fp32", None)
    assert "model.onnx is not the file that export.json describes" in caplog.text


@pytest.mark.parametrize("content", ["[]", '{"models": {"model": {"path": "x"}}}', "{"])
def test_an_export_json_that_is_none(tmp_path, content):
    tiny_onnx(tmp_path / "model.onnx")
    (tmp_path / "export.json").write_text(content, encoding="utf-8")
    with pytest.raises(CofiError) as caught:
        resolve([tmp_path])
    assert "export.json" in caught.value.message
    assert "export again: cofi export SOURCE." in caught.value.hint
    assert caught.value.exit_code == UNREACHABLE


def test_a_retrained_run_is_exported_as_it_was_before(tmp_path):
    run = RunDir(tmp_path / "run")
    write_json(run.model / "config.json", {})
    (run.model / "model.safetensors").write_bytes(b"weights")
    tiny_onnx(run.onnx / "model.onnx")
    again = []

    def bench():
        again.clear()
        resolve_targets([run.root], baseline=None, exporter=lambda *asked: again.append(asked))
        return again

    assert bench() == [(run.root, ExportConfig())]
    asked = ExportConfig(precision="int8", graph="lean", portable=True, max_drop=2.0)
    old = exported_file(weights_sha256="older", sha256=file_digest(run.onnx / "model.onnx"))
    export_record(old, asked=asked).write(run.onnx / "export.json")
    assert bench() == [(run.root, asked)]
    new = old.model_copy(update={"weights_sha256": weights_digest(str(run.model))})
    export_record(new, asked=asked).write(run.onnx / "export.json")
    assert bench() == []


def test_names_grow_until_they_differ():
    paths = [Path("r/x/onnx/model.onnx"), Path("r/y/onnx/model.onnx")]
    assert unique_names(paths) == ["x/onnx/model", "y/onnx/model"]


def test_names_are_those_of_links_not_of_what_they_lead_to(tmp_path):
    blob = tiny_onnx(tmp_path / "blobs" / "5f3a")
    links = [tmp_path / name / "model.onnx" for name in ("x", "y")]
    for link in links:
        link.parent.mkdir()
        link.symlink_to(blob)
    assert unique_names(links) == ["x/model", "y/model"]
    assert resolve(links)[0] == ["x/model", "y/model"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: [], "Nothing to benchmark."),
        (lambda p: [p / "absent"], "absent' does not exist."),
        (lambda p: [p], "holds neither a run nor a model: there is no config.yaml of a run"),
    ],
)
def test_nothing_to_benchmark(tmp_path, make, message):
    with pytest.raises(CofiError) as caught:
        resolve(make(tmp_path))
    assert message in caught.value.message
    assert caught.value.hint


def test_a_file_that_is_not_onnx(tmp_path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\xff\xff not onnx")
    with pytest.raises(CofiError, match=r"Cannot read .*a\.onnx as ONNX") as caught:
        resolve([path])
    assert caught.value.exit_code == 6


def test_an_unfinished_run(tmp_path):
    (tmp_path / "config.yaml").write_text("model: x\n", encoding="utf-8")
    with pytest.raises(CofiError, match="holds a run that has no model yet") as caught:
        find_source(tmp_path)
    assert "--resume" in (caught.value.hint or "")


def test_the_run_of_a_file_in_it(tmp_path):
    (tmp_path / "config.yaml").write_text("model: x\n", encoding="utf-8")
    found = run_of(tmp_path / "onnx" / "model.onnx")
    assert found is not None
    assert found.root == tmp_path.resolve()
    assert run_of(Path("/model.onnx")) is None


@pytest.mark.parametrize(
    "foreign",
    ["trainer: {max_epochs: 3}\nmodel: {lr: 1}\n", "model: {name: x}\n", "- a\n", "", "{{ a }}: ["],
)
def test_another_tools_config_yaml_makes_no_run(tmp_path, foreign):
    model = tmp_path / "models" / "bert"
    write_json(model / "config.json", {})
    for folder in (tmp_path, tmp_path / "models", model):
        (folder / "config.yaml").write_text(foreign, encoding="utf-8")
    assert run_of(tiny_onnx(model / "a.onnx")) is None
    found = find_source(model)
    assert (found.models, found.run) == ({"model": str(model)}, None)
    write_json(model / "model" / "config.json", {})
    assert find_source(model).models == {"model": str(model)}
    with pytest.raises(CofiError, match="holds neither a run nor a model"):
        find_source(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"precision": "fp31"},
            "precision is 'fp31'; it should be 'fp32', 'int8', 'fp16' or 'auto'. "
            "Did you mean 'fp32'?",
        ),
        ({"opset": 11}, "opset is 11; it should be greater than or equal to 17."),
        (
            {"max_drop": float("nan")},
            "max_drop: 'nan' is neither a number of points, such as 0.5, nor one of a part, such "
            "as recall[LABEL]=0.2 or accuracy[COLUMN=VALUE]=1.",
        ),
        ({"batch": ()}, "batch: it is empty; give one number or more, such as 1,32."),
        ({"portabel": True}, "Unknown key 'portabel'. Did you mean 'portable'?"),
    ],
)
def test_wrong_export_arguments(tmp_path, arguments, message):
    with pytest.raises(CofiError) as caught:
        export(tmp_path, **arguments)
    assert caught.value.message == message


def test_what_standard_operators_cannot_say_names_the_forms_that_they_can(tmp_path):
    with pytest.raises(CofiError) as caught:
        export(tmp_path, graph="fused", portable=True)
    assert "graph 'fused' has others" in caught.value.message
    assert caught.value.hint == "Use --graph plain, packed or lean, or leave --graph out."


def test_a_folder_with_other_things_is_not_overwritten(tmp_path):
    model, other = tmp_path / "model", tmp_path / "other"
    for folder in (model, other):
        folder.mkdir()
    (model / "config.json").write_text("{}", encoding="utf-8")
    (other / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(CofiError, match="holds something that is not an export"):
        export(model, output=other)
    assert (other / "thesis.txt").exists()


def test_what_a_user_put_beside_an_export_is_not_removed(tmp_path):
    model, out = tmp_path / "model", tmp_path / "out"
    write_json(model / "config.json", {})
    export_record(files=["model.onnx", "tokenizer.json"]).write(out / "export.json")
    for own in ("model.onnx", "tokenizer.json", "README.md"):
        (out / own).touch()
    assert foreign_files(out) == []
    (out / "thesis").mkdir()
    with pytest.raises(CofiError, match="out holds 'thesis', which no export wrote") as caught:
        export(model, output=out)
    assert caught.value.exit_code == 2 and "--output DIR" in caught.value.hint


def test_providers():
    assert provider_name("cuda") == "CUDAExecutionProvider"
    require_provider("cpu", ["CPUExecutionProvider"])
    with pytest.raises(CofiError, match=r"Unknown provider 'cud'\. Did you mean 'cuda'"):
        provider_name("cud")
    with pytest.raises(CofiError) as caught:
        require_provider("cuda", ["CPUExecutionProvider"])
    assert caught.value.exit_code == 5
    assert caught.value.message == (
        "Provider 'cuda' was asked for, but onnxruntime runs on CPUExecutionProvider."
    )
    assert "pip uninstall -y onnxruntime && pip install onnxruntime-gpu" in caught.value.hint


def test_schedule_splits_runs_over_turns():
    assert Schedule(runs=7, rounds=3).turns() == [3, 2, 2]
    assert Schedule(runs=2, rounds=10).turns() == [1, 1]


def test_cases_are_crossed():
    assert [case.name for case in cross((1, 32), (64, 128))] == [
        "b1-s64",
        "b32-s64",
        "b1-s128",
        "b32-s128",
    ]
