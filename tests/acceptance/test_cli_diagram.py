"""`avow diagram`: pictures on stdout or in files."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from tests.acceptance.command_line import avow


def test_the_picture_of_all_machines_goes_to_stdout() -> None:
    ended = avow("diagram", "examples/enrollment")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ElementTree.fromstring(ended.stdout).get("role") == "img"
    assert ">Course<" in ended.stdout
    assert ">Enrollment<" in ended.stdout


def test_one_entity_as_mermaid() -> None:
    ended = avow("diagram", "examples/enrollment", "--entity", "Course", "--format", "mermaid")
    assert ended.stdout.startswith("stateDiagram-v2\n")
    assert "Enrollment" not in ended.stdout


def test_an_unknown_entity_is_refused_with_those_there_are() -> None:
    ended = avow("diagram", "examples/enrollment", "--entity", "Corse")
    assert ended.returncode == 2
    assert "mend: Entities: Course, Enrollment." in ended.stderr


def test_the_name_of_the_file_says_the_format(tmp_path: Path) -> None:
    for name, start in (("a.svg", "<svg "), ("a.mmd", "stateDiagram-v2"), ("a.txt", "<svg ")):
        ended = avow("diagram", "examples/enrollment", "-o", str(tmp_path / name))
        assert (ended.returncode, ended.stdout) == (0, "")
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)


def test_programs_get_the_text_or_the_file(tmp_path: Path) -> None:
    shown = json.loads(avow("diagram", "examples/enrollment", "--json").stdout)
    assert (shown["format"], shown["entities"]) == ("svg", ["Course", "Enrollment"])
    assert shown["text"].startswith("<svg ")
    file = str(tmp_path / "a.mmd")
    shown = json.loads(avow("diagram", "examples/enrollment", "--json", "-o", file).stdout)
    assert shown == {"format": "mermaid", "entities": ["Course", "Enrollment"], "file": file}


def test_a_file_that_can_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    ended = avow("diagram", "examples/enrollment", "-o", str(tmp_path / "no" / "a.svg"))
    assert ended.returncode == 2
    assert "can't be written: No such file or directory" in ended.stderr
