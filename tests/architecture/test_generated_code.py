"""`make protos-check` sees every way in which browsergo/v2 can differ from protos/."""

from pathlib import Path

import pytest

from deploy import protos

SAMPLE = """syntax = "proto3";
package browsergo.v2;
message Sample { string text = 1; }
"""


def test_committed_code_is_what_the_protos_say() -> None:
    assert protos.differences(protos.generate(protos.PROTOS), protos.committed(protos.GENERATED)) == []


def test_changed_missing_and_left_over_files_are_named() -> None:
    fresh = {"same.py": b"1", "changed.py": b"2", "missing.py": b"3"}
    existing = {"same.py": b"1", "changed.py": b"old", "left_over.py": b"4"}
    assert protos.differences(fresh, existing) == ["changed.py", "left_over.py", "missing.py"]


def test_writing_leaves_exactly_the_generated_files_and_the_one_by_hand(tmp_path: Path) -> None:
    source, target = tmp_path / "protos" / "browsergo" / "v2", tmp_path / "v2"
    source.mkdir(parents=True)
    target.mkdir()
    (source / "sample.proto").write_text(SAMPLE)
    (target / "__init__.py").write_text("# by hand\n")
    (target / "gone_pb2.py").write_text("# its proto was removed\n")

    fresh = protos.generate(tmp_path / "protos")
    protos.write(fresh, target)

    assert sorted(file.name for file in target.iterdir()) == [
        "__init__.py",
        "sample_pb2.py",
        "sample_pb2.pyi",
        "sample_pb2_grpc.py",
        "sample_pb2_grpc.pyi",
    ]
    assert protos.differences(fresh, protos.committed(target)) == []
    assert (target / "__init__.py").read_text() == "# by hand\n"


def test_a_proto_that_protoc_refuses_is_an_error_with_its_words(tmp_path: Path) -> None:
    source = tmp_path / "browsergo" / "v2"
    source.mkdir(parents=True)
    (source / "broken.proto").write_text("message {")
    with pytest.raises(protos.ProtocError, match=r"broken\.proto"):
        protos.generate(tmp_path)


def test_an_unknown_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert protos.main(["--chek"]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
