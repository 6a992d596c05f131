"""Verification: who a customer is, asked of two providers and judged by people."""
