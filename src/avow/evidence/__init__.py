"""PROOF that it happened: audit entries, their chain, and what they say about a record.

Pure and offline: everything here works on bytes that somebody else has fetched.
"""
