"""The outside, simulated: payment, stock, shipping, identity and accounts behind real HTTP, with a ledger of
what was really done. `python -m avow.testing.provider` runs it; `avow.testing.Provider` starts it for a test.
"""
