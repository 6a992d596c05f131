"""What every replay of real input shares: clients and copies, crashes, workers, the account, the report.

A replay reads its file, gives every case to a declared backend as the file has it, kills processes on the
way, and settles the account afterwards: by SQL, and against what was computed from the file alone. Nothing
here knows what is replayed.
"""
