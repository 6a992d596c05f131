"""`avow witness`: stand for the checkpoints of somebody else's log."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from avow.api.serving import listen, serve, url_of
from avow.api.witness import State, WitnessApplication
from avow.cli import output
from avow.engine.log.key import KeyFile
from avow.errors import UsageError
from avow.evidence.note import Signer
from avow.evidence.verifier import Invalid, VerifierKey, is_key_name, parse_keys


@click.command(name="witness")
@click.argument("logs", metavar="LOG.PUB...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--name", default="witness.example", show_default=True,
    help="What a new key is called: a name that is yours, such as audit.example.com/w1.",
)  # fmt: skip
@click.option(
    "--key", default="witness.key", show_default=True, type=click.Path(path_type=Path),
    help="The witness's own key; made where there is none.",
)  # fmt: skip
@click.option(
    "--state", default="witness.state", show_default=True, type=click.Path(path_type=Path),
    help="Where it remembers what it has signed. Never give it an older copy.",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, help="Port to listen on; 0 takes a free one.")
@output.json_option
def command(
    logs: tuple[Path, ...], name: str, key: Path, state: Path, host: str, port: int, as_json: bool
) -> None:
    """Sign the checkpoints of the logs whose public keys these files hold, each only if it goes on from the
    one before.

    For somebody who doesn't run the log. It refuses a forked log, and one that has become shorter
    (c2sp.org/tlog-witness).
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    believed = [each for file in logs for each in _keys(file)]
    kept = State(state, first=not key.exists())
    signer = _signer(key, name)
    app = WitnessApplication(signer, believed, kept)
    listening = listen(host, port)

    def announce() -> None:
        if as_json:
            output.document({"url": url_of(listening), "key": signer.cosigner.text})
        else:
            output.data(f"witnessing at {url_of(listening)}, with the key\n{signer.cosigner.text}")

    serve(app, listening, announce)


def _keys(file: Path) -> tuple[VerifierKey, ...]:
    try:
        return parse_keys(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, Invalid) as error:
        raise UsageError(f"{file}: {error}", "Name the file with the log's public key (log.pub).") from None


def _signer(key: Path, name: str) -> Signer:
    if not is_key_name(name):
        raise UsageError("--name can't be the name of a key", "Use no spaces and no plus sign.")
    file = KeyFile(key)
    return file.signer() or file.make(name)
