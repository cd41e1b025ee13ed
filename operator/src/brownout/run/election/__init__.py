"""Which of several operators leads: a Lease, the rules of it, and the fence before each write."""
