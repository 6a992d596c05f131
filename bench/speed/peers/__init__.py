"""What people use today, doing the same job: each in a folder of its own, as its documentation recommends.

Shared here is only what all of them would write alike: reading the token, checking the role, hashing.
"""
