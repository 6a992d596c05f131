"""Replay 32,593 real registrations over HTTP, twice each, through three crashes, and settle the account.

What is sent. Each row of the Open University's `studentRegistration.csv` is one applicant (the subject is
the student's id) who applies to one of 22 course presentations, in the applicant's own name: start, submit;
a registrar verifies; a dean approves. A presentation has places for 95 % (rounded down) of its rows.

How the dates are read. Days count from the presentation's first day.
- No registration date: the person never completed it. The application is started and not handed in.
- Unregistered before day 0, or never registered: the application is withdrawn.
- Unregistered on day 0 or later: the student was on the course, and leaves it, which gives the place back.
- Approvals are given on day 0, or on the day of registration where that is later. On one day all
  approvals come before all departures, approvals in the order of registration, then of the student's id.
- Whoever was refused a place and goes nevertheless sends `leave` too, is refused, and withdraws instead.

So the file alone determines who gets the last place: approvals and departures of one presentation are sent
in that order, each after the answer to the one before. Everything else runs at once: the 22 presentations,
and the steps before approval of different applicants.

What is done to it. 64 connections. Every request is sent under one Idempotency-Key at least twice: nine in
ten again some time after their first answer, every tenth three times in the same moment. All answers of one
key must agree in status, ETag and body. Three times on the way the server process is killed with -9 and
started again; a request whose answer was lost is sent again under its key.

What is checked. The end state of every application against `expected.py`, which reads the file by itself;
places and audit entries by SQL; the audit log by `avow verify`.
"""
