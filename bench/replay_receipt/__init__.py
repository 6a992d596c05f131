"""Replay 1,434 real applications for environmental permits by the clock of their log, and settle the account.

What is declared. `system.py`: a permit with its two deadlines, the letters of its case (confirmation of
receipt, request for what is missing, report of a stop) and the assessment of whether to stop. The activities
of the log are their transitions, in the orders that the log has but for what it has once or twice. Nothing is
done for a permit that is closed.

How the log is read. The first activity of a case receives its permit and drafts the confirmation. A case is
closed at its end date, by who is responsible for it; where that lies before the receipt, right after it.
`deadline` and `enddate_planned` are the deadlines: overdue on the first, escalated two weeks after the
second. The rest of the log's activities are given at their times, by their resources; what the declaration
refuses goes into the result, by activity and code.

Whose time it is. The database's clock stands still, and is set on from moment to moment of the log: each
activity, each closing, each deadline. At each moment everything that is due is done before the next comes.
The commands go through an engine of this process; the deadlines come by two worker processes. Several times
on the way both are killed with -9 and stay away for ten days of the log; then one is started, killed again
while it catches up, and both go on, what the killed one had begun once its lease has ended.

What is checked. `expected.py` computes from the file alone when which deadline must come, how each permit,
letter and assessment ends, and what is refused. By SQL: each deadline came once, never early, late only
through an outage and then at its end (or a lease later); each acknowledged step has its entry. And the audit
log by `avow verify`.
"""
