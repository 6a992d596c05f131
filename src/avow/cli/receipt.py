"""`avow receipt`: show somebody who trusts nobody what happened to a record, and check what one is shown."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import click

from avow.canonical import INTEGER_MAX
from avow.cli import output
from avow.cli.options import together
from avow.cli.record import Reader, answer_of, asked, reader_of, reader_options
from avow.cli.target import load_target
from avow.errors import UsageError
from avow.evidence.receipt import write_page, write_policy
from avow.evidence.verifier import (
    RECEIPT_BYTES_MAX,
    Invalid,
    Policy,
    Verdict,
    moment,
    parse_key,
    policy_of,
    verify,
)
from avow.model.system import System

_key: Final = click.option(
    "--key", metavar="FILE", type=click.Path(path_type=Path),
    help="The public key of the log, which you have from its operator by another way.",
)  # fmt: skip
_policy: Final = click.option(
    "--policy", metavar="FILE", type=click.Path(path_type=Path),
    help="The logs and witnesses that you believe, as a c2sp.org/tlog-policy.",
)  # fmt: skip

_written: Final = together(
    click.option("--current", is_flag=True, help="Let the log also say which version is the newest."),
    click.option("--wait-s", default=10.0, show_default=True, help="How long to wait for the seal."),
    click.option(
        "--out", metavar="FILE", type=click.Path(path_type=Path), help="Write it there, not on the terminal."
    ),
    click.option(
        "--page", metavar="FILE", type=click.Path(path_type=Path), help="Write a page that checks itself."
    ),
)


@click.group(name="receipt")
def command() -> None:
    """Issue receipts of what happened to records, and check them.

    A receipt is a file that proves, without the database, that one entry of a record's history is in the
    sealed log. It shows what happened; it doesn't show that it still holds.
    """


@command.command(name="issue")
@click.argument("record")
@click.argument("claim")
@click.option(
    "--version", metavar="N", type=click.IntRange(1, INTEGER_MAX),
    help="Of this version; else of the newest that makes the claim true.",
)  # fmt: skip
@_written
@reader_options
@output.json_option
def issue_receipt(
    record: str, claim: str, version: int | None, current: bool, wait_s: float, out: Path | None,
    page: Path | None, target: str, tenant: str, subject: str | None, roles: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Issue a receipt that shows that CLAIM was true of RECORD.

    CLAIM compares the state, or fields that one command set, with constants: "state = captured",
    "amount >= 25.00 EUR & paid = true".
    """
    from avow.engine.log.receipts import Asked, issue

    question = asked(target, record, tenant, subject, roles)
    signer = _signer(question.system) if current else None
    wanted = Asked(question.entity, question.record, claim, version, wait_s, signer)
    issued = _answered(
        question.system, question.reader,
        lambda reads, logs: issue(question.system, reads, logs, question.reader, wanted),
    )  # fmt: skip
    return _handed_out(issued, out, page, as_json)


@command.command(name="renew")
@click.argument("old", type=click.Path(path_type=Path))
@_written
@reader_options
@output.json_option
def renew_receipt(
    old: Path, current: bool, wait_s: float, out: Path | None, page: Path | None, target: str, tenant: str,
    subject: str | None, roles: tuple[str, ...], as_json: bool,
) -> int:  # fmt: skip
    """Issue the receipt in OLD anew, of the same entry and claim, with what the log says by now.

    OLD is checked with the keys of this database's logs. The new one rests on the newest checkpoint that
    witnesses stand for, and says what was erased since.
    """
    from avow.engine.log.renewing import Held, renew

    system, reader = load_target(target), reader_of(tenant, subject, roles)
    held = Held(_read(old), wait_s, _signer(system) if current else None)
    issued = _answered(system, reader, lambda reads, logs: renew(system, reads, logs, reader, held))
    return _handed_out(issued, out, page, as_json)


@command.command(name="verify")
@click.argument("file", type=click.Path(path_type=Path))
@_key
@_policy
@output.json_option
def verify_receipt(file: Path, key: Path | None, policy: Path | None, as_json: bool) -> int:
    """Check the receipt in FILE, without a database, a network or a declaration.

    Exit code 0: VALID, and what it shows; 1: INVALID, and why. It says that something happened; later
    versions of the record may exist.
    """
    believed, data = _believed(key, policy), _read(file)
    try:
        verdict = verify(data, believed)
    except Invalid as error:
        if as_json:
            output.document({"valid": False, "reason": str(error)})
        else:
            output.data(f"INVALID: {output.plain(str(error))}")
        return output.FOUND
    if as_json:
        output.document(_document(verdict))
    else:
        output.data("\n".join(["VALID", *map(output.plain, verdict.statement.splitlines())]))
    return output.HOLDS


@command.command(name="page")
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@_key
@_policy
@output.json_option
def page_of(file: Path, out: Path, key: Path | None, policy: Path | None, as_json: bool) -> int:
    """Make a page OUT of the receipt in FILE: it checks itself in a browser, without a network."""
    try:
        _write(out, _page(_read(file), _believed(key, policy)))
    except Invalid as error:
        raise UsageError(f"the receipt is INVALID: {error}", "Only of a valid one a page is made.") from None
    if as_json:
        output.document({"page": str(out)})
    return output.HOLDS


def _answered(system: System, reader: Reader, ask: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """What is asked of the database and its logs, where the key of the newest log may be at hand."""
    from avow.engine.log.proving import Logs
    from avow.store.reads import Reads

    key = _key_of_log(system)
    keys = None if key is None else key.keys
    return answer_of(system, reader, lambda pool: ask(Reads(system, pool), Logs(pool.borrow, keys)))


def _handed_out(issued: Any, out: Path | None, page: Path | None, as_json: bool) -> int:
    """Write a receipt where it was asked for, and say what it says."""
    if out is not None:
        _write(out, issued.text)
    if page is not None:
        policy = Policy((parse_key(issued.log),), {}, {}, "none")
        _write(page, _page(issued.text.encode(), policy))
    if as_json:
        output.document(issued.document)
    elif out is None and page is None:
        output.data(issued.text.rstrip("\n"))
    output.talk(f"of version {issued.version}; witnessed by: {', '.join(issued.witnesses) or 'nobody'}")
    for line in _gone(issued.erased):
        output.talk(output.plain(line))
    return output.HOLDS


def _gone(erased: Sequence[Any]) -> list[str]:
    """What is gone of the entry's private values, and whether the receipt says so: a line for each reason."""
    from avow.engine.log.erasures import UNSIGNED

    lines = dict[tuple[Any, Any], list[str]]()
    for one in erased:
        lines.setdefault((one.leaf, one.unsigned), []).append(one.field)
    said = list[str]()
    for (leaf, unsigned), names in lines.items():
        where = "erased" if leaf is None else f"erased at leaf {leaf}"
        why = "" if unsigned is None else f" (the receipt doesn't say so: {UNSIGNED[unsigned]})"
        said.append(f"{where}{why}: {', '.join(names)}")
    return said


def _signer(system: System) -> Any:
    """Who signs for the log, for what only the log can say."""
    key = _key_of_log(system)
    signer = None if key is None else key.keys.signer()
    if signer is None:
        raise UsageError("--current needs the key of the log", "Set AVOW_LOG_KEY, as for the server.")
    return signer


def _key_of_log(system: System) -> Any:
    from avow.cli.settings import key_of_log

    return key_of_log(system, os.environ, development="AVOW_DATABASE_URL" not in os.environ)


def _believed(key: Path | None, policy: Path | None) -> Policy:
    mend = "Give --key FILE with the log's public key, or --policy FILE."
    if key is None and policy is None:
        raise UsageError("it isn't said which log is believed", mend)
    try:
        return policy_of(
            None if key is None else _read(key).decode(), None if policy is None else _read(policy).decode()
        )
    except (Invalid, UnicodeDecodeError) as error:
        said = f"{policy or key} can't be believed: {error}"
        raise UsageError(said, mend) from None


def _page(data: bytes, policy: Policy) -> str:
    template = (files("avow.evidence") / "receipt.html").read_text("utf-8")
    return write_page(template, data.decode(), write_policy(policy), verify(data, policy).statement)


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as held:
            return held.read(RECEIPT_BYTES_MAX + 1)
    except OSError as error:
        raise UsageError(f"{file} can't be read: {error.strerror}", "Name a file that is there.") from None


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise UsageError(f"{file} can't be written: {error.strerror}", "Name another place.") from None


def _document(verdict: Verdict) -> dict[str, Any]:
    header, sealed, head = verdict.header, verdict.sealed, verdict.head
    by = () if verdict.erased is None else verdict.erased.by
    return {
        "valid": True,
        "claim": verdict.claim,
        **{name: header[name] for name in ("app", "tenant", "kind", "id")},
        "version": header["ver"],
        "transition": header["transition"],
        "decided_at": header["at"],
        "sealed_at": moment(sealed.time),
        "log": sealed.checkpoint.origin,
        "leaf": verdict.index,
        "size": sealed.checkpoint.size,
        "witnesses": [{"name": one.key.name, "at": moment(one.time or 0)} for one in sealed.witnesses],
        "newest": None if head is None else {"version": head.version, "size": head.size},
        "erased": [{"field": name, "leaf": leaf} for leaf, names in by for name in names],
        "statement": verdict.statement,
        "entry": header,
    }
