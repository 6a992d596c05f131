"""Replay 119,390 real reservations of two hotels through `examples/booking`, and settle the account.

What is sent. Each row is one booking by a guest of its own; 31,994 rows look like another one, and are other
bookings. A guest holds a room and confirms at once; the desk checks in and out, notes who didn't come; a
cancelled booking is cancelled by its guest. A room has five beds: larger parties are refused, and so are
those of nobody.

How the dates are read. A reservation was made `lead_time` days before the arrival, and ended on the date of
its status: left, cancelled, or not come. On one day those come first who give back what they held before that
day; then whoever asks for a room, in the order of the file; then whoever arrives; in the end whoever asked on
this day and is gone again. Who cancels on the day of the reservation never confirms. Rooms are let from 15:00
to 11:00; no night is from 15:00 to 18:00. All dates are set twenty years on, so that no deadline of the
declaration comes while the replay runs: what time would do, the desk does.

Who gets which room. Each hotel has, of each type of room, 45 % of what all its reservations together would
need on the worst day. Rooms are asked for by first fit, in the order of reservation; whoever finds none asks
for one that is taken. So the file alone determines who is refused. The steps of one room are sent in order,
each after the answer to the one before; all rooms at once.

What is done to it. 64 connections; every tenth request three times in the same moment, every tenth of the
others again later. The server, and one of two workers beside it, are killed with -9 and started again.

What is checked. The room and the end of every booking against `expected.py`, which reads the file by itself
and finds the rooms in another way; by SQL, that no room was ever held twice for the same time, and that every
acknowledged step has its entry; that no deadline came; the audit log by `avow verify`.
"""
