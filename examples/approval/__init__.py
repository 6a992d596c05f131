"""Requests for money: so many approvers as the amount demands, deputies, deadlines, a board."""
