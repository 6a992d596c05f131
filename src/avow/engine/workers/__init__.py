"""What happens by itself: calls, times, events and deliveries, and what operators do about them."""
