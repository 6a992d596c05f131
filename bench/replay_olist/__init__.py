"""Replay 8,135 real orders with all their payments through `examples/checkout`, and settle the account.

What is sent. Each order is placed by a buyer of its own. Vouchers are gift cards, sold to the buyer with what
the file says was paid by them; where there are several, the buyer pours them together first. Credit and debit
cards are cards, two of them where the file has two. A boleto is a transfer: the provider is told of it, and
it arrives. The price is the sum of all payments; an order of nothing is refused.

What becomes of it. Goods of unavailable orders are sold out. Cancelled orders are cancelled by the buyer at
once, while their calls are under way: whichever comes first, the capture or the cancel, nothing may be left;
those that were carried out all the same are refunded in full, and so are those that the carrier had already.
A cancelled boleto never arrives. All others are carried out, also where the file ends in the middle of them.

What is done to it. The provider is a process of its own: 2 % of its replies are lost, 1 % of the requests
arrive twice, 1 % are answered with a 5xx, half of these after the work. 1 % of its webhooks come three
times. Commands come over 64 connections, every tenth three times in the same moment, every tenth of the
others again later. The server, and two workers beside it, are killed with -9 and started again.

What is checked. The end of every order and the money kept of it, to the cent, against `expected.py`, which
reads the files by itself; by SQL and the provider's own ledger, that both agree to the cent for each order,
that nothing is held or reserved any more that shouldn't be, and that no cent of a gift card is lost; that
every acknowledged step has its entry; the audit log by `avow verify`.
"""
