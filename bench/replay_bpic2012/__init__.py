"""Replay 13,087 real loan applications of a bank (BPI Challenge 2012), and settle the account.

What is declared. `system.py` declares what the log permits: the application (A_ events), its offers (O_), and
the work of people on it (W_), which is scheduled, begun, and laid down as often as it takes.
A_PARTLYSUBMITTED follows on A_SUBMITTED in every case by itself, so it is a time that a worker lets come.
Beyond the order it demands what the log breaks in a few cases only: who accepts an application doesn't
approve it; who begins a piece of work ends it; nothing is begun for what was declined or cancelled; an
application has one offer at a time. An approval comes before what is registered and activated: never is it
the other way round in the log, but all three mostly bear the same instant, and within an instant the log has
no order. There, and only there, an event is sent before one that stands above it in the file.

What is sent. Every other event is a command of its resource: of the automaton (resource 112), or of a person;
work without a resource is done by one person without a name. Refused events have no effect, and those that
follow on them are sent all the same. The steps of one case are sent in order, each after the answer to the
one before; 64 cases at once.

What is done to it. Every tenth request is sent three times in the same moment, every twentieth of the others
again later. The server, and two workers beside it by turns, are killed with -9 and started again.

What is checked. The end of every application, offer and piece of work, every refusal and what is left in
inboxes against `expected.py`, which reads the file by itself; by SQL, that nobody has both accepted and
approved, and that every acknowledged step has its entry; the audit log by `avow verify`.
"""
