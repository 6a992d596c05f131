"""Write docs/reference/problems.md from the table of problems; with --check only say whether it is fresh."""

from __future__ import annotations

import sys
from pathlib import Path

from avow.errors import PROBLEMS, Kind

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "problems.md"
AGAIN = ".venv/bin/python scripts/docs_problems.py"

WHO = {
    Kind.REJECTED: "What the caller has to change",
    Kind.TRY_AGAIN: "What may be sent again as it is",
    Kind.BUG: "What is Avow's own fault",
}

HEAD = f"""# Problems

<!-- Made from src/avow/errors.py by `{AGAIN}`; edit that table, not this page. -->

Every refusal is an `application/problem+json` document (RFC 9457). Its `type` ends in the code below, which
doesn't change between versions. A refused value is never repeated in the answer.
"""


def page() -> str:
    """The whole page, as Markdown."""
    pieces = [HEAD]
    for kind, title in WHO.items():
        rows = sorted(
            (row for row in PROBLEMS.values() if row.kind is kind), key=lambda row: (row.status, row.code)
        )
        pieces.append(f"\n## {title}\n\n| Code | Status | Title | What to do |\n|---|---|---|---|\n")
        for row in rows:
            anchor = f'<a id="{row.code}"></a>`{row.code}`'
            pieces.append(f"| {anchor} | {row.status} | {row.title} | {row.mend} |\n")
    return "".join(pieces)


def main() -> int:
    fresh = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == fresh else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(fresh)
    print(PAGE.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
