"""The tables of a declaration and Avow's own: made, brought up to date, and looked after."""
