"""What every carrier's far end is made of: its server, its people, faults on purpose, ways to people and to us."""
