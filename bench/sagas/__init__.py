"""Thousands of sagas of four calls each, against an outside that misbehaves, while processes are killed.

Each saga is an order of `examples/checkout` that is paid by card: pieces are reserved, the money is held,
then taken, and the pieces are shipped. Of twenty orders, one has a card that is declined, and one is
cancelled by its buyer as soon as it is placed; these are undone.

What is done to it. The provider loses 2 % of its replies, takes 1 % of the requests twice, and answers 2 %
with a 5xx, half of them after it has done the work. Two workers beside a server that works not at all carry
the sagas out; they are killed with -9 by turns and started again. In between PostgreSQL is stopped as by a
crash, and recovers. All of it happens at even distances while orders are placed and carried out.

What is checked. Every order is done, undone, or stuck with a task for a person that says why; the provider's
ledger is ours, order by order, to the cent and to the piece; nothing was done twice, neither for one order
nor under one key; every acknowledged command has its entry, and there are no others; `avow verify`.
"""
