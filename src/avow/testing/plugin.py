"""What pytest gets by itself where Avow is installed: fixtures for tests of an application.

Loaded with every run of pytest, so that it must cost next to nothing: nothing of Avow is imported, and no
PostgreSQL started, before a test asks for one of them. Tests are plain functions, and await nothing; a test
that is a coroutine, by whichever plugin, may use them as well. A fixture of the same name in a conftest or in
a test's own file goes before the one here.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from importlib import import_module
from typing import Any

import pytest

from avow import testing

TARGET = "system:app"
"""Where an application is that says nothing else, as `avow init` makes it."""
BACKEND: pytest.StashKey[testing.Backend] = pytest.StashKey()
SAMPLED: pytest.StashKey[list[str]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("avow_app", f"The application under test, MODULE:NAME ({TARGET}).", default=TARGET)


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SAMPLED] = []


@pytest.fixture(scope="session")
def app(request: pytest.FixtureRequest) -> testing.System:
    """The application under test: what `avow_app` names in the configuration of pytest."""
    root, target = str(request.config.rootpath), str(request.config.getini("avow_app"))
    if root not in sys.path:
        sys.path.insert(0, root)
    module, _, name = target.partition(":")
    mend = f"avow_app names {target}; set it to MODULE:NAME of yours in the configuration of pytest"
    try:
        found = getattr(import_module(module), name or "app", None)
    except ModuleNotFoundError as error:
        if f"{module}.".startswith(f"{error.name}."):
            raise pytest.UsageError(f"there is no module {error.name} for the fixture app: {mend}") from None
        raise
    if found is None:
        raise pytest.UsageError(f"{module} has no {name or 'app'} for the fixture app: {mend}")
    return found


@pytest.fixture(scope="session")
def _avow_portal() -> Iterator[testing.Portal]:
    portal = testing.Portal()
    yield portal
    portal.close()


@pytest.fixture(scope="session")
def _avow_provider() -> Iterator[testing.Provider]:
    with testing.Provider() as provider:
        yield provider


@pytest.fixture
def provider(_avow_provider: testing.Provider) -> testing.Provider:
    """The outside, over real HTTP: what the application calls, wherever it calls. Each test has it new."""
    _avow_provider.reset()
    return _avow_provider


@pytest.fixture
def db(app: testing.System) -> Iterator[testing.Database]:
    """A database for this test alone, cloned from a template that is made once."""
    databases = testing.own_databases()
    made = databases.make(app)
    yield made
    databases.drop(made)


@pytest.fixture
def backend(
    request: pytest.FixtureRequest, db: testing.Database, _avow_portal: testing.Portal
) -> Iterator[testing.Backend]:
    """The application on its database: the engine and the worker that serve, under a clock that stands."""
    outside = request.getfixturevalue("provider") if "provider" in request.fixturenames else None
    with testing.backend_on(_avow_portal, db, outside) as made:
        request.node.stash[BACKEND] = made
        yield made
        reaches = made.race.reaches.items()
        request.config.stash[SAMPLED] += [
            f"{request.node.nodeid}: {name}: {reach}" for name, reach in reaches if reach.sampled
        ]


@pytest.fixture
def as_(backend: testing.Backend) -> testing.As:
    """`as_("ann", "desk", tenant="north")`: somebody who gives commands, and looks."""
    return backend.as_


@pytest.fixture
def clock(backend: testing.Backend) -> testing.Clock:
    """The clock, which stands still until it is told to advance."""
    return backend.clock


@pytest.fixture
def crash(backend: testing.Backend) -> testing.Crash:
    """`with crash.at("commit"):` ends the process that serves, at a statement; another one goes on."""
    return backend.crash


@pytest.fixture
def race(backend: testing.Backend) -> testing.Race:
    """`for order in race(a, b):` runs requests at once, in every order of their statements."""
    return backend.race


@pytest.fixture(scope="session")
def replay() -> testing.Replay:
    """`replay(file, target)`: do a schedule again that `avow prove` has kept."""
    return testing.replay


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any]:
    """Let a test that fails tell what happened to the records that it touched."""
    outcome = yield
    report = outcome.get_result()
    made = item.stash.get(BACKEND, None)
    if made is not None and report.failed and call.when == "call":
        report.sections.append(("timeline", made.timeline()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which races were not tried in every order."""
    for line in config.stash[SAMPLED]:
        terminalreporter.write_line(f"race not in every order: {line}")
