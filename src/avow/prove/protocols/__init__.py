"""The engine's own protocols, explored in lock step, each with variants that are known to be broken."""
