"""Every way in which a target can be wrong is one clear sentence and one mend."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from avow.cli.target import load_target, source_folder
from avow.errors import DeclarationError, UsageError

DECLARED = """
from avow import Entity, State, create, everybody, read, system

class Door(Entity):
    visible = read(by=everybody)
    shut = State(initial=True, final=True)
    build = create(shut, by=everybody)

app = system("NAME", Door)
"""


@pytest.fixture(autouse=True)
def imported() -> Iterator[None]:
    """Imports of a test are forgotten after it."""
    modules, path = dict(sys.modules), list(sys.path)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]


def application(folder: Path, text: str, name: str = "system.py") -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder)


def refusal(target: str) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        load_target(target)
    return caught.value.detail, caught.value.mend


def test_a_folder_a_file_and_a_named_system_are_the_same_target(tmp_path: Path) -> None:
    folder = application(tmp_path, DECLARED.replace("NAME", "one"))
    systems = [
        load_target(t) for t in (folder, f"{folder}/system.py", f"{folder}:app", f"{folder}/system.py:app")
    ]
    assert all(system is systems[0] for system in systems)
    assert systems[0].name == "one"
    assert source_folder(folder) == tmp_path.resolve()


def test_two_applications_with_the_same_file_name_do_not_meet(tmp_path: Path) -> None:
    first = application(tmp_path / "a", DECLARED.replace("NAME", "first"))
    second = application(tmp_path / "b", DECLARED.replace("NAME", "second"))
    assert [load_target(t).name for t in (first, second, first)] == ["first", "second", "first"]


def test_a_file_named_like_a_module_of_python_harms_nobody(tmp_path: Path) -> None:
    application(tmp_path, DECLARED.replace("NAME", "typed"), "types.py")
    before = sys.modules["types"]
    assert load_target(str(tmp_path / "types.py")).name == "typed"
    assert sys.modules["types"] is before


def test_a_file_in_a_package_may_import_its_neighbours(tmp_path: Path) -> None:
    package = tmp_path / "shoppe"
    application(package, "", "__init__.py")
    application(package, 'NAME = "neighbour"', "naming.py")
    text = DECLARED.replace('"NAME"', "NAME") + "\n"
    application(package, f"from shoppe.naming import NAME\n{text}")
    assert load_target(str(package)).name == "neighbour"


def test_a_system_under_two_names_is_one_system(tmp_path: Path) -> None:
    folder = application(tmp_path, DECLARED.replace("NAME", "one") + "again = app\n")
    assert load_target(folder).name == "one"


def test_several_systems_have_to_be_told_apart(tmp_path: Path) -> None:
    more = 'other = system("other", Door)\n'
    folder = application(tmp_path, DECLARED.replace("NAME", "one") + more)
    detail, mend = refusal(folder)
    assert "declares several systems: app, other" in detail
    assert mend == f"Name one of them: {folder}:NAME."
    assert load_target(f"{folder}:other").name == "other"
    assert refusal(f"{folder}:third")[1] == "Systems in it: app, other."


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = (\n", 1, "SyntaxError"),
        ("\n\nimport no_such_module_here\n", 3, "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("\ndef f():\n    raise ValueError('two\\nlines')\nf()\n", 3, "ValueError: two"),
        ("raise SystemExit(3)\n", 1, "SystemExit: 3"),
        ("from avow import naught\n", 1, "ImportError: cannot import name 'naught'"),
        ("1/0", 1, "ZeroDivisionError: division by zero"),
    ],
)
def test_what_breaks_an_import_is_told_by_file_line_and_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    detail, mend = refusal(application(tmp_path, text))
    assert detail.startswith(f"{tmp_path / 'system.py'}:{line}: the import fails: {reason}")
    assert "\n" not in detail
    assert mend


def test_a_module_that_failed_is_not_half_there(tmp_path: Path) -> None:
    folder = application(tmp_path, "1/0")
    refusal(folder)
    application(tmp_path, DECLARED.replace("NAME", "mended"))
    assert load_target(folder).name == "mended"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("other.py", "", "there is no system.py in"),
        ("system.py", "x = 1\n", "declares no system"),
    ],
)
def test_a_folder_without_a_system_is_refused(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert expected in refusal(application(tmp_path, text, name))[0]


@pytest.mark.parametrize(
    "target", ["no/such/folder", "no_such_module_here", "avow.no_such_module", "x.py", "", "a b"]
)
def test_a_target_that_leads_nowhere_is_refused(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    detail, mend = refusal(target)
    assert "there is no" in detail
    assert mend


def test_a_file_that_is_not_python_is_refused(tmp_path: Path) -> None:
    application(tmp_path, "hello", "notes.txt")
    assert "isn't a Python file" in refusal(str(tmp_path / "notes.txt"))[0]


def test_mistakes_of_a_declaration_come_through_untouched(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError):
        load_target(application(tmp_path, DECLARED.replace("NAME", "Not A Name")))
