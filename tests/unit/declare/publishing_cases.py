"""What can be wrong with what is published, each on the line that is marked with its code."""

from tests.unit.declare.declarations import course

PUBLISHING: dict[str, str] = {
    "publications": course(
        "good = publish(announce, data=[seats], by=clerk & ~dean)",
        "nothing = publish(by=clerk)  # <- publication-unreadable",
        "odd = publish(open, by=clerk)  # <- publication-unreadable",
        "again = publish(announce, close_it, by=clerk)  # <- declared-twice",
        "mine = publish(close_it, by=owner == actor)  # <- publication-unreadable declared-twice",
        "days = timedelta(days=99)",
        "ever = publish(close_it, by=clerk, retried_for=days)  # <- publication-unreadable declared-twice",
        "what = publish(close_it, data=[open], by=clerk)  # <- field-unknown declared-twice",
    ),
}
