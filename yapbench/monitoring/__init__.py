"""What a load costs the machine, and whether the machine held still meanwhile."""
