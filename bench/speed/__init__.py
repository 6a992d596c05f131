"""How fast Avow is, against PostgreSQL's own limit and against what people use today, in one run.

Everything is measured on one embedded cluster with the durability that a server has (checked before every
measurement), in pairs that alternate within the run. See docs/how-to/measure.md.
"""
